#pragma once

#include <span>

#include "store-service/database/mysql/migrate.h"

namespace posthorn::store_service {

// The mail tables. Never change a step that was released: add the next number.
std::span<const mysql::Step> MysqlMailSteps();

}  // namespace posthorn::store_service
