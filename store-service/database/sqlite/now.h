#pragma once

// Milliseconds since 1970 by the database's clock, in SQL: leases of several stores on one database
// must not depend on theirs.
#define POSTHORN_NOW "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
