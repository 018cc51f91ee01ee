// The name that Horovod 0.28.1 includes; TensorFlow 2.19 moved it.
#include "xla/hlo/builder/xla_builder.h"
