// How many processors this process may really use.
#pragma once

#include <string>

namespace lamina {

// By the affinity mask and the quotas of control groups, at least 1.
int usable_cores();

// Whole cores that the quotas of this process's control group and of all groups above it allow, of
// version 1 and 2; 0 where there is none. `root` is where the file system begins: "" but in tests.
int quota_cores(const std::string& root);

}  // namespace lamina
