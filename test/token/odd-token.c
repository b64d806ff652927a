/*
 * A PKCS#11 module that stands before a real one and gives its tokens the habits of others. What is asked for by a
 * variable of the environment is changed, everything else goes to the real module, so that keys and signatures are real.
 *
 *   ODD_TOKEN_MODULE         the real module
 *   ODD_TOKEN_USER_PIN       the PIN of the user, for the changes below
 *   ODD_TOKEN_SIGNATURE_PIN  the login before a signature wants this PIN instead of the user's (5110 CC)
 *   ODD_TOKEN_SILENT         CKA_ALWAYS_AUTHENTICATE cannot be read (NSS, Luna)
 *   ODD_TOKEN_PAD            the reader has keys: a PIN that is left out is typed there, after so many milliseconds
 *   ODD_TOKEN_NEW_PIN        the new PIN that is typed there
 *   ODD_TOKEN_READ_ONLY      no read-write sessions
 *   ODD_TOKEN_MANUFACTURER   what C_GetTokenInfo says
 *   ODD_TOKEN_SERIAL         the same: all tokens have this serial number (OpenSC, with a token for each PIN of a card)
 *   ODD_TOKEN_EMPTY_SLOTS    so many slots without a token stand before the others (SafeNet has eight)
 *   ODD_TOKEN_LOGIN_FIRST    C_SetPIN wants a login before it looks at the PIN
 *   ODD_TOKEN_LOG            a file that gets one line for each PIN that the token looked at: the function
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pkcs11.h"

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST odd;
static int logged_in;

static const char *setting(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

static void note(const char *function) {
  const char *path = setting("ODD_TOKEN_LOG");
  FILE *file = path ? fopen(path, "a") : NULL;
  if (!file) return;
  fprintf(file, "%s\n", function);
  fclose(file);
}

static void wait_for_person(void) { usleep(strtoul(setting("ODD_TOKEN_PAD"), NULL, 10) * 1000); }

static CK_RV get_slot_list(CK_BBOOL present, CK_SLOT_ID_PTR list, CK_ULONG_PTR count) {
  CK_ULONG empty = setting("ODD_TOKEN_EMPTY_SLOTS") ? strtoul(setting("ODD_TOKEN_EMPTY_SLOTS"), NULL, 10) : 0;
  CK_ULONG index, room = *count, found = room > empty ? room - empty : 0;
  CK_RV rv;
  if (present || !empty) return real->C_GetSlotList(present, list, count);
  rv = real->C_GetSlotList(present, list ? list + empty : NULL, &found);
  if (rv != CKR_OK) return rv;
  for (index = 0; list && index < empty; index++) list[index] = index;
  *count = found + empty;
  return CKR_OK;
}

static void put(CK_UTF8CHAR_PTR field, size_t size, const char *value) {
  if (!value) return;
  memset(field, ' ', size);
  memcpy(field, value, strlen(value));
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info) {
  CK_RV rv = real->C_GetTokenInfo(slot, info);
  if (rv != CKR_OK) return rv;
  if (setting("ODD_TOKEN_PAD")) info->flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
  put(info->manufacturerID, sizeof info->manufacturerID, setting("ODD_TOKEN_MANUFACTURER"));
  put(info->serialNumber, sizeof info->serialNumber, setting("ODD_TOKEN_SERIAL"));
  return CKR_OK;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
                          CK_SESSION_HANDLE_PTR session) {
  if (setting("ODD_TOKEN_READ_ONLY") && (flags & CKF_RW_SESSION)) return CKR_TOKEN_WRITE_PROTECTED;
  return real->C_OpenSession(slot, flags, application, notify, session);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length) {
  const char *second = setting("ODD_TOKEN_SIGNATURE_PIN");
  const char *own = setting("ODD_TOKEN_USER_PIN");
  CK_RV rv;
  note(user == CKU_CONTEXT_SPECIFIC ? "C_Login for a signature" : "C_Login");
  if (setting("ODD_TOKEN_PAD") && length == 0) {
    wait_for_person();
    rv = real->C_Login(session, user, (CK_UTF8CHAR_PTR)own, strlen(own));
  } else if (second && user == CKU_CONTEXT_SPECIFIC) {
    if (length != strlen(second) || memcmp(pin, second, length)) return CKR_PIN_INCORRECT;
    rv = real->C_Login(session, user, (CK_UTF8CHAR_PTR)own, strlen(own));
  } else {
    rv = real->C_Login(session, user, pin, length);
  }
  if (rv == CKR_OK) logged_in = 1;
  return rv;
}

static CK_RV set_pin(CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR old, CK_ULONG old_length, CK_UTF8CHAR_PTR new,
                     CK_ULONG new_length) {
  const char *own = setting("ODD_TOKEN_USER_PIN");
  const char *typed = setting("ODD_TOKEN_NEW_PIN");
  if (setting("ODD_TOKEN_LOGIN_FIRST") && !logged_in) return CKR_USER_NOT_LOGGED_IN;
  note("C_SetPIN");
  if (!setting("ODD_TOKEN_PAD") || old_length || new_length) {
    return real->C_SetPIN(session, old, old_length, new, new_length);
  }
  wait_for_person();
  return real->C_SetPIN(session, (CK_UTF8CHAR_PTR)own, strlen(own), (CK_UTF8CHAR_PTR)typed, strlen(typed));
}

static CK_RV get_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes,
                                 CK_ULONG count) {
  CK_ULONG index;
  for (index = 0; setting("ODD_TOKEN_SILENT") && index < count; index++) {
    if (attributes[index].type == CKA_ALWAYS_AUTHENTICATE) return CKR_ATTRIBUTE_TYPE_INVALID;
  }
  return real->C_GetAttributeValue(session, object, attributes, count);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
  const char *path = setting("ODD_TOKEN_MODULE");
  void *library = path ? dlopen(path, RTLD_NOW) : NULL;
  CK_C_GetFunctionList get = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  if (!get || get(&real) != CKR_OK) return CKR_GENERAL_ERROR;
  odd = *real;
  odd.C_GetFunctionList = C_GetFunctionList;
  odd.C_GetSlotList = get_slot_list;
  odd.C_GetTokenInfo = get_token_info;
  odd.C_OpenSession = open_session;
  odd.C_Login = login;
  odd.C_SetPIN = set_pin;
  odd.C_GetAttributeValue = get_attribute_value;
  *list = &odd;
  return CKR_OK;
}
