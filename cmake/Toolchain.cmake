# Language level, warnings, ccache, linker, sanitizers: what every target shares.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(CCACHE ccache)
if(CCACHE)
  # What ccache must overlook to cache a file that uses a precompiled header; scripts/common.sh sets what else the cache needs.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD AND NOT CMAKE_CROSSCOMPILING)
  add_link_options(-fuse-ld=mold)
endif()

add_library(r1_flags INTERFACE)
target_compile_options(r1_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wno-missing-field-initializers -fno-math-errno>)
target_include_directories(r1_flags INTERFACE ${CMAKE_SOURCE_DIR})

# Not OpenMP::OpenMP_CXX: it names gcc's libgomp by path, beside the one that comes with libtorch.
add_library(r1_openmp INTERFACE)
target_compile_options(r1_openmp INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
target_link_options(r1_openmp INTERFACE -fopenmp)

if(R1_SANITIZE)
  target_compile_options(r1_flags INTERFACE -fsanitize=${R1_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(r1_flags INTERFACE -fsanitize=${R1_SANITIZE})
endif()

if(R1_CUDA)
  set(CMAKE_CUDA_ARCHITECTURES 90a-real)
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)  # libtorch's, so that there is one in the process
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  # CMake 3.25 knows no C++20 for nvcc.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
