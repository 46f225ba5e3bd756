# FindLibtorch: imported targets for the torch wheel, without TorchConfig.cmake (which wants a whole CUDA toolkit, or overrides ours).
#   in : LIBTORCH_ROOT, the folder with include/ and lib/; default: what scripts/setup.sh unpacked, then python3's torch
#   out: Libtorch::cpu, and Libtorch::cuda with R1_CUDA
if(NOT LIBTORCH_ROOT)
  if(DEFINED ENV{R1_DEPS})
    set(_deps $ENV{R1_DEPS})
  else()
    set(_deps $ENV{HOME}/.cache/r1)
  endif()
  if(EXISTS ${_deps}/libtorch-2.11.0/torch/lib/libtorch_cpu.so)
    set(LIBTORCH_ROOT ${_deps}/libtorch-2.11.0/torch)
  else()
    execute_process(COMMAND python3 -c "import importlib.util as u;print(u.find_spec('torch').submodule_search_locations[0])"
                    OUTPUT_VARIABLE LIBTORCH_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
endif()
find_library(LIBTORCH_CPU torch_cpu PATHS ${LIBTORCH_ROOT}/lib NO_DEFAULT_PATH)
find_library(LIBTORCH_C10 c10 PATHS ${LIBTORCH_ROOT}/lib NO_DEFAULT_PATH)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch REQUIRED_VARS LIBTORCH_CPU LIBTORCH_C10
  FAIL_MESSAGE "libtorch 2.11.0 not found: run scripts/setup.sh, or set LIBTORCH_ROOT")

if(Libtorch_FOUND AND NOT TARGET Libtorch::cpu)
  add_library(Libtorch::cpu INTERFACE IMPORTED)
  target_include_directories(Libtorch::cpu SYSTEM INTERFACE
    ${LIBTORCH_ROOT}/include ${LIBTORCH_ROOT}/include/torch/csrc/api/include)
  target_compile_definitions(Libtorch::cpu INTERFACE _GLIBCXX_USE_CXX11_ABI=1 AT_PER_OPERATOR_HEADERS)
  target_link_libraries(Libtorch::cpu INTERFACE ${LIBTORCH_CPU} ${LIBTORCH_C10})
  # RPATH, not RUNPATH: only the former serves the wheel's own needs too.
  set(_nv ${LIBTORCH_ROOT}/../nvidia)
  target_link_options(Libtorch::cpu INTERFACE -fopenmp LINKER:--allow-shlib-undefined LINKER:--disable-new-dtags
    LINKER:-rpath,${LIBTORCH_ROOT}/lib:${_nv}/cu13/lib:${_nv}/nccl/lib)
  # at::parallel_for is an inline OpenMP loop: without -fopenmp it runs serially, in silence.
  target_compile_options(Libtorch::cpu INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
  if(R1_CUDA)
    find_package(CUDAToolkit REQUIRED)
    find_library(LIBTORCH_CUDA torch_cuda PATHS ${LIBTORCH_ROOT}/lib NO_DEFAULT_PATH REQUIRED)
    find_library(LIBTORCH_C10_CUDA c10_cuda PATHS ${LIBTORCH_ROOT}/lib NO_DEFAULT_PATH REQUIRED)
    add_library(Libtorch::cuda INTERFACE IMPORTED)
    # No include folder: nothing but .cu files includes CUDA, so that the objects of all other files are those of the cpu preset. Hence the
    # library by its path: the target CUDA::cudart would bring the folder.
    # Nothing calls libtorch_cuda by name; it must load to register its kernels.
    target_link_libraries(Libtorch::cuda INTERFACE Libtorch::cpu
      -Wl,--push-state,--no-as-needed ${LIBTORCH_CUDA} -Wl,--pop-state ${LIBTORCH_C10_CUDA} ${CUDA_cudart_LIBRARY})
  endif()
endif()
