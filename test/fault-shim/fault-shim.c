/*
 * A PKCS#11 module that stands before a real one and makes it fail on purpose. Everything that no rule names goes to the
 * real module, so that keys and signatures are real.
 *
 *   FAULT_SHIM_MODULE  the real module
 *   FAULT_SHIM_RULES   a file of rules, read again at each call, one a line:
 *
 *                        <function> [nth] [mechanism=0x..] <action>...
 *
 *                      nth: which call of the function in this process since it began or the rules were changed:
 *                        3 the third, 3+ the third and all later ones, * or nothing each one
 *                      mechanism: only for an operation with this mechanism (C_SignInit, C_Sign)
 *                      actions, as many as wanted:
 *                        delay=<ms>  the call takes so much longer
 *                        hang        it never comes back
 *                        abort       the process crashes before the real call
 *                        rv=0x..     it fails with this value
 *                        flags=0x..  C_GetTokenInfo sets these flags too
 *                        none        C_GetSlotList and C_FindObjects answer that there is nothing
 *   FAULT_SHIM_LOG     a file that gets the name of each function that is called, one a line
 *   FAULT_SHIM_PARENT  set to anything: on Linux the process is killed when the one that started it ends, even while it
 *                      is stopped
 *
 * A call that is to fail and that begins something (C_Initialize, C_OpenSession, C_Login, C_SetPIN, C_FindObjectsInit,
 * C_SignInit) is not made. Any other is made, and its result dropped: a C_Sign that were not made would leave its
 * operation active for good.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "pkcs11.h"

#ifdef __APPLE__
#define st_mtim st_mtimespec
#endif

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST watched;

struct fault {
  int hang, abort, none;
  unsigned long delay, rv, flags;
};

/* The mechanism of the operation that is active; one session at a time is all that rules can tell apart. */
static unsigned long mechanism;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* How often each function was called since the rules were changed. */
static struct {
  const char *function;
  unsigned long calls;
} counts[64];

static unsigned long count_call(const char *function, FILE *rules) {
  static struct stat before;
  struct stat now;
  size_t index = 0;
  if (!fstat(fileno(rules), &now) &&
      (now.st_size != before.st_size || now.st_ino != before.st_ino || now.st_mtim.tv_sec != before.st_mtim.tv_sec ||
       now.st_mtim.tv_nsec != before.st_mtim.tv_nsec)) {
    before = now;
    memset(counts, 0, sizeof counts);
  }
  while (counts[index].function && strcmp(counts[index].function, function)) index++;
  counts[index].function = function;
  return ++counts[index].calls;
}

static int is_nth(const char *word, unsigned long call) {
  char *rest;
  unsigned long nth = strtoul(word, &rest, 10);
  return *word == '*' || (*rest == '+' ? call >= nth : call == nth);
}

/* Adds what one rule says, if it is for this call. */
static void apply(char *rule, const char *function, unsigned long call, struct fault *fault) {
  char *state, *word = strtok_r(rule, " \n", &state);
  if (!word || strcmp(word, function)) return;
  while ((word = strtok_r(NULL, " \n", &state))) {
    if ((*word == '*' || (*word >= '0' && *word <= '9')) && !is_nth(word, call)) return;
    if (!strncmp(word, "mechanism=", 10) && strtoul(word + 10, NULL, 0) != mechanism) return;
    if (!strcmp(word, "hang")) fault->hang = 1;
    if (!strcmp(word, "abort")) fault->abort = 1;
    if (!strcmp(word, "none")) fault->none = 1;
    if (!strncmp(word, "delay=", 6)) fault->delay = strtoul(word + 6, NULL, 0);
    if (!strncmp(word, "rv=", 3)) fault->rv = strtoul(word + 3, NULL, 0);
    if (!strncmp(word, "flags=", 6)) fault->flags = strtoul(word + 6, NULL, 0);
  }
}

static struct fault look_up(const char *function) {
  struct fault fault = {0, 0, 0, 0, CKR_OK, 0};
  const char *log_path = getenv("FAULT_SHIM_LOG");
  const char *rules_path = getenv("FAULT_SHIM_RULES");
  FILE *file;
  char line[256];
  pthread_mutex_lock(&lock);
  if (log_path && (file = fopen(log_path, "a"))) {
    fprintf(file, "%s\n", function);
    fclose(file);
  }
  if (rules_path && (file = fopen(rules_path, "r"))) {
    unsigned long call = count_call(function, file);
    while (fgets(line, sizeof line, file)) apply(line, function, call, &fault);
    fclose(file);
  }
  pthread_mutex_unlock(&lock);
  if (fault.delay) usleep(fault.delay * 1000);
  if (fault.abort) {
    /* It is to crash as a library does, and to leave no memory behind on the disk. */
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    fprintf(stderr, "fault-shim: %s aborts\n", function);
    abort();
  }
  while (fault.hang) sleep(1);
  return fault;
}

/* A call that begins something is not made when it is to fail. */
#define BEGIN(function, parameters, arguments)                       \
  static CK_RV shim_##function parameters {                          \
    struct fault fault = look_up(#function);                         \
    return fault.rv == CKR_OK ? real->function arguments : fault.rv; \
  }

/* Any other is made, and its result dropped. */
#define DROP(function, parameters, arguments)  \
  static CK_RV shim_##function parameters {    \
    struct fault fault = look_up(#function);   \
    CK_RV rv = real->function arguments;       \
    return fault.rv == CKR_OK ? rv : fault.rv; \
  }

BEGIN(C_Initialize, (CK_VOID_PTR arguments), (arguments))
DROP(C_Finalize, (CK_VOID_PTR reserved), (reserved))
DROP(C_GetInfo, (CK_INFO_PTR info), (info))
DROP(C_GetSlotInfo, (CK_SLOT_ID slot, CK_SLOT_INFO_PTR info), (slot, info))
DROP(C_GetMechanismList, (CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR count), (slot, list, count))
DROP(C_GetMechanismInfo, (CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR info), (slot, type, info))
BEGIN(C_OpenSession, (CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR own, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR session),
      (slot, flags, own, notify, session))
DROP(C_CloseSession, (CK_SESSION_HANDLE session), (session))
DROP(C_CloseAllSessions, (CK_SLOT_ID slot), (slot))
DROP(C_GetSessionInfo, (CK_SESSION_HANDLE session, CK_SESSION_INFO_PTR info), (session, info))
BEGIN(C_Login, (CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length),
      (session, user, pin, length))
DROP(C_Logout, (CK_SESSION_HANDLE session), (session))
BEGIN(C_SetPIN,
      (CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR old, CK_ULONG old_length, CK_UTF8CHAR_PTR pin, CK_ULONG length),
      (session, old, old_length, pin, length))
BEGIN(C_FindObjectsInit, (CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR template, CK_ULONG count),
      (session, template, count))
DROP(C_FindObjectsFinal, (CK_SESSION_HANDLE session), (session))
DROP(C_GetAttributeValue,
     (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR template, CK_ULONG count),
     (session, object, template, count))
DROP(C_Sign, (CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR out, CK_ULONG_PTR count),
     (session, data, length, out, count))

static CK_RV shim_C_GetSlotList(CK_BBOOL present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count) {
  struct fault fault = look_up("C_GetSlotList");
  CK_RV rv = real->C_GetSlotList(present, slots, count);
  if (rv == CKR_OK && fault.none) *count = 0;
  return fault.rv == CKR_OK ? rv : fault.rv;
}

static CK_RV shim_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info) {
  struct fault fault = look_up("C_GetTokenInfo");
  CK_RV rv = real->C_GetTokenInfo(slot, info);
  if (rv == CKR_OK) info->flags |= fault.flags;
  return fault.rv == CKR_OK ? rv : fault.rv;
}

static CK_RV shim_C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG most,
                                CK_ULONG_PTR count) {
  struct fault fault = look_up("C_FindObjects");
  CK_RV rv = real->C_FindObjects(session, objects, most, count);
  if (rv == CKR_OK && fault.none) *count = 0;
  return fault.rv == CKR_OK ? rv : fault.rv;
}

static CK_RV shim_C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM_PTR which, CK_OBJECT_HANDLE key) {
  struct fault fault;
  mechanism = which->mechanism;
  fault = look_up("C_SignInit");
  return fault.rv == CKR_OK ? real->C_SignInit(session, which, key) : fault.rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
  const char *path = getenv("FAULT_SHIM_MODULE");
  void *library = path ? dlopen(path, RTLD_NOW) : NULL;
  CK_C_GetFunctionList get = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  struct fault fault;
#ifdef __linux__
  if (getenv("FAULT_SHIM_PARENT")) prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  fault = look_up("C_GetFunctionList");
  if (fault.rv != CKR_OK) return fault.rv;
  if (!get || get(&real) != CKR_OK) return CKR_GENERAL_ERROR;
  watched = *real;
  watched.C_GetFunctionList = C_GetFunctionList;
#define WATCH(function) watched.function = shim_##function
  WATCH(C_Initialize);
  WATCH(C_Finalize);
  WATCH(C_GetInfo);
  WATCH(C_GetSlotList);
  WATCH(C_GetSlotInfo);
  WATCH(C_GetTokenInfo);
  WATCH(C_GetMechanismList);
  WATCH(C_GetMechanismInfo);
  WATCH(C_OpenSession);
  WATCH(C_CloseSession);
  WATCH(C_CloseAllSessions);
  WATCH(C_GetSessionInfo);
  WATCH(C_Login);
  WATCH(C_Logout);
  WATCH(C_SetPIN);
  WATCH(C_FindObjectsInit);
  WATCH(C_FindObjects);
  WATCH(C_FindObjectsFinal);
  WATCH(C_GetAttributeValue);
  WATCH(C_SignInit);
  WATCH(C_Sign);
  *list = &watched;
  return CKR_OK;
}
