#include <gtest/gtest.h>
TEST(Lane, Placeholder) {}
