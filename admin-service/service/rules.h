#pragma once

// What holds for single kinds beyond their field rules. A table: a kind without an entry has none.

#include <string>
#include <vector>

#include "admin-service/service/workspace.h"

namespace posthorn::admin_service {

// Adds what is wrong with `edit` to `wrong`; an error when the store could not be asked.
net::Task<absl::Status> CheckKindRules(Workspace& workspace, const Workspace::Edit& edit,
                                       std::vector<std::string>& wrong);

}  // namespace posthorn::admin_service
