/*
 * A PKCS#11 module that stands before a real one and is as short of sessions as a small token: C_OpenSession answers
 * CKR_SESSION_COUNT when FEW_SESSIONS_MOST are open. FEW_SESSIONS_MODULE is the real module.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "pkcs11.h"

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST counted;
static long count;

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
                          CK_SESSION_HANDLE_PTR session) {
  const char *most = getenv("FEW_SESSIONS_MOST");
  CK_RV rv;
  if (most && count >= atol(most)) return CKR_SESSION_COUNT;
  rv = real->C_OpenSession(slot, flags, application, notify, session);
  if (rv == CKR_OK) count += 1;
  return rv;
}
static CK_RV close_session(CK_SESSION_HANDLE session) {
  CK_RV rv = real->C_CloseSession(session);
  if (rv == CKR_OK) count -= 1;
  return rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
  const char *path = getenv("FEW_SESSIONS_MODULE");
  void *library = path ? dlopen(path, RTLD_NOW) : NULL;
  CK_C_GetFunctionList get = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  if (!get || get(&real) != CKR_OK) return CKR_GENERAL_ERROR;
  counted = *real;
  counted.C_GetFunctionList = C_GetFunctionList;
  counted.C_OpenSession = open_session;
  counted.C_CloseSession = close_session;
  *list = &counted;
  return CKR_OK;
}
