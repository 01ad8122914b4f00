#include "cpu/cores.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

namespace lamina {
namespace {

// The first numbers of a file, as many as there are.
int read_numbers(const std::string& path, long long* numbers, int n) {
  std::ifstream file(path);
  int count = 0;
  while (count < n && file >> numbers[count]) ++count;
  return count;
}

int rounded_up(long long quota, long long period) {
  if (quota <= 0 || period <= 0) return 0;
  return static_cast<int>(std::min<long long>((quota + period - 1) / period, 1 << 20));
}

// Version 2 has both numbers in one file, the first of them "max" where there is no limit; version
// 1 has two files, and -1.
int quota_of_group(const std::string& folder) {
  long long numbers[2] = {0, 0};
  if (read_numbers(folder + "/cpu.max", numbers, 2) == 2) return rounded_up(numbers[0], numbers[1]);
  if (read_numbers(folder + "/cpu.cfs_quota_us", numbers, 1) == 1 &&
      read_numbers(folder + "/cpu.cfs_period_us", numbers + 1, 1) == 1) {
    return rounded_up(numbers[0], numbers[1]);
  }
  return 0;
}

// The smallest quota of the group `path` below `mount`, and of those above it. In a container the
// path may be the host's, where the mount shows the container's own group: then what is above
// counts.
int least_quota(const std::string& mount, std::string path) {
  int least = 0;
  for (;;) {
    const int quota = quota_of_group(mount + path);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
    if (path.empty()) return least;
    path.erase(path.rfind('/'));
  }
}

}  // namespace

int quota_cores(const std::string& root) {
  // Lines "number:controllers:path"; version 2 names no controllers.
  std::ifstream groups(root + "/proc/self/cgroup");
  int least = 0;
  for (std::string line; std::getline(groups, line);) {
    std::istringstream fields(line);
    std::string number, controllers, path;
    if (!std::getline(fields, number, ':') || !std::getline(fields, controllers, ':') ||
        !std::getline(fields, path) || path.empty() || path[0] != '/') {
      continue;
    }
    if (path == "/") path.clear();
    std::string mount = root + "/sys/fs/cgroup";
    if (!controllers.empty()) {
      if (("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
      mount += "/cpu";  // a link, where cpu is mounted together with cpuacct
    }
    const int quota = least_quota(mount, path);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
  }
  return least;
}

int usable_cores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  const int quota = quota_cores("");
  if (quota > 0 && quota < cores) cores = quota;
#endif
  return std::max(cores, 1);
}

}  // namespace lamina
