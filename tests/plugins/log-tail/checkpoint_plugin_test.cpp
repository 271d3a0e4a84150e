#include "tail_rig.hpp"
