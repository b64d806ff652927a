/*
 * A PKCS#11 module that stands before a real one and makes it fail on purpose. Everything that no rule names goes to the
 * real module, so that keys and signatures are real.
 *
 *   FAULT_SHIM_MODULE  the real module
 *   FAULT_SHIM_RULES   a file of rules, read again at each call, one a line:
 *                        <function> [mechanism=0x..] <action>...
 *                      actions: hang, abort, rv=0x.. (after the real call, whose result is dropped), delay=<ms>,
 *                      flags=0x.. (C_GetTokenInfo: set these flags too)
 *   FAULT_SHIM_LOG     a file that gets the name of each function that is watched, one a line
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pkcs11.h"

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST watched;

struct fault {
  int hang, abort;
  unsigned long delay, rv, flags;
};

/* The mechanism of the operation that is active; one session at a time is all that rules can tell apart. */
static unsigned long mechanism;

static struct fault look_up(const char *function) {
  struct fault fault = {0, 0, 0, CKR_OK, 0};
  const char *log_path = getenv("FAULT_SHIM_LOG");
  const char *rules_path = getenv("FAULT_SHIM_RULES");
  FILE *file;
  char line[256];
  if (log_path && (file = fopen(log_path, "a"))) {
    fprintf(file, "%s\n", function);
    fclose(file);
  }
  if (!rules_path || !(file = fopen(rules_path, "r"))) return fault;
  while (fgets(line, sizeof line, file)) {
    char *word = strtok(line, " \n");
    if (!word || strcmp(word, function)) continue;
    while ((word = strtok(NULL, " \n"))) {
      if (!strncmp(word, "mechanism=", 10) && strtoul(word + 10, NULL, 0) != mechanism) break;
      if (!strcmp(word, "hang")) fault.hang = 1;
      if (!strcmp(word, "abort")) fault.abort = 1;
      if (!strncmp(word, "delay=", 6)) fault.delay = strtoul(word + 6, NULL, 0);
      if (!strncmp(word, "rv=", 3)) fault.rv = strtoul(word + 3, NULL, 0);
      if (!strncmp(word, "flags=", 6)) fault.flags = strtoul(word + 6, NULL, 0);
    }
  }
  fclose(file);
  if (fault.abort) {
    fprintf(stderr, "fault-shim: %s aborts\n", function);
    abort();
  }
  while (fault.hang) sleep(1);
  if (fault.delay) usleep(fault.delay * 1000);
  return fault;
}

/* A failure that is asked for drops the result of the real call; the call is made all the same, to end the operation. */
static CK_RV end(struct fault fault, CK_RV rv) { return fault.rv == CKR_OK ? rv : fault.rv; }

static CK_RV initialize(CK_VOID_PTR args) {
  struct fault fault = look_up("C_Initialize");
  return fault.rv == CKR_OK ? real->C_Initialize(args) : fault.rv;
}
static CK_RV finalize(CK_VOID_PTR reserved) { return end(look_up("C_Finalize"), real->C_Finalize(reserved)); }
static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info) {
  struct fault fault = look_up("C_GetTokenInfo");
  CK_RV rv = real->C_GetTokenInfo(slot, info);
  if (rv == CKR_OK) info->flags |= fault.flags;
  return end(fault, rv);
}
static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length) {
  struct fault fault = look_up("C_Login");
  return fault.rv == CKR_OK ? real->C_Login(session, user, pin, length) : fault.rv;
}
static CK_RV find_objects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG most, CK_ULONG_PTR count) {
  return end(look_up("C_FindObjects"), real->C_FindObjects(session, objects, most, count));
}
static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR which, CK_OBJECT_HANDLE key) {
  struct fault fault;
  mechanism = which->mechanism;
  fault = look_up("C_SignInit");
  return fault.rv == CKR_OK ? real->C_SignInit(session, which, key) : fault.rv;
}
static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR out, CK_ULONG_PTR count) {
  struct fault fault = look_up("C_Sign");
  return end(fault, real->C_Sign(session, data, length, out, count));
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
  const char *path = getenv("FAULT_SHIM_MODULE");
  void *library = path ? dlopen(path, RTLD_NOW) : NULL;
  CK_C_GetFunctionList get = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  if (!get || get(&real) != CKR_OK) return CKR_GENERAL_ERROR;
  watched = *real;
  watched.C_GetFunctionList = C_GetFunctionList;
  watched.C_Initialize = initialize;
  watched.C_Finalize = finalize;
  watched.C_GetTokenInfo = get_token_info;
  watched.C_Login = login;
  watched.C_FindObjects = find_objects;
  watched.C_SignInit = sign_init;
  watched.C_Sign = sign;
  *list = &watched;
  return CKR_OK;
}
