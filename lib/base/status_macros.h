#pragma once

// Early return for absl::Status and absl::StatusOr, in plain functions and (CO_) in coroutines.

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define PH_CONCAT_INNER(a, b) a##b
#define PH_CONCAT(a, b) PH_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expression)                        \
  do {                                                     \
    if (absl::Status ph_status = (expression); !ph_status.ok()) return ph_status; \
  } while (false)

#define CO_RETURN_IF_ERROR(expression)                     \
  do {                                                     \
    if (absl::Status ph_status = (expression); !ph_status.ok()) co_return ph_status; \
  } while (false)

#define PH_ASSIGN_OR(result, keyword, target, expression) \
  auto result = (expression);                             \
  if (!result.ok()) keyword result.status();              \
  target = *std::move(result)

#define ASSIGN_OR_RETURN(target, expression) \
  PH_ASSIGN_OR(PH_CONCAT(ph_result_, __LINE__), return, target, expression)

#define CO_ASSIGN_OR_RETURN(target, expression) \
  PH_ASSIGN_OR(PH_CONCAT(ph_result_, __LINE__), co_return, target, expression)
