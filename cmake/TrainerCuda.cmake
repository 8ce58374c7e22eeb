# Finds the tools and libraries of the CUDA backend and prints them: nvcc and its toolkit, cuBLASLt and cuDNN 9, which
# may also come from a Python environment's nvidia packages. Sets TRAINER_CUDNN_INCLUDE, TRAINER_CUDNN_LIBRARY,
# TRAINER_CUBLASLT_INCLUDE and TRAINER_CUBLASLT_LIBRARY.
set(TRAINER_CUDNN_ROOT "" CACHE PATH "Folder of cuDNN, with include/ and lib/, where it is not in the toolkit or the system")

if(NOT TRAINER_NVCC)
  message(FATAL_ERROR "TRAINER_BACKEND=cuda: no nvcc in PATH, in CUDA_HOME or CUDA_PATH, or in /usr/local/cuda")
endif()
if(NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER ${TRAINER_NVCC})
endif()

# Machine code for the architectures of 2018 to 2024 that this nvcc knows, and PTX of the newest for later ones.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  execute_process(COMMAND ${TRAINER_NVCC} --list-gpu-arch OUTPUT_VARIABLE known_architectures
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  string(REPLACE "\n" ";" known_architectures "${known_architectures}")
  set(architectures)
  foreach(architecture 75 80 90 100)
    if("compute_${architecture}" IN_LIST known_architectures)
      list(APPEND architectures ${architecture}-real)
    endif()
  endforeach()
  list(POP_BACK architectures newest)
  string(REPLACE "-real" "" newest "${newest}")
  list(APPEND architectures ${newest})
  set(CMAKE_CUDA_ARCHITECTURES "${architectures}" CACHE STRING "CUDA architectures to build for")
endif()
enable_language(CUDA)
find_package(CUDAToolkit 12.0 REQUIRED)

# site-packages/nvidia of the Python in PATH, if it has any.
find_program(TRAINER_PYTHON python3)
set(python_folders)
if(TRAINER_PYTHON)
  execute_process(COMMAND ${TRAINER_PYTHON} -c "import nvidia; print(';'.join(nvidia.__path__))"
                  OUTPUT_VARIABLE python_nvidia OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  foreach(folder ${python_nvidia})
    list(APPEND python_folders ${folder}/cudnn ${folder}/cublas ${folder}/cu${CUDAToolkit_VERSION_MAJOR})
  endforeach()
endif()

set(hints ${TRAINER_CUDNN_ROOT} $ENV{CUDNN_ROOT} $ENV{CUDNN_PATH})
set(toolkit ${CUDAToolkit_LIBRARY_ROOT} ${CUDAToolkit_TARGET_DIR} ${CUDAToolkit_BIN_DIR}/..)
set(suffixes lib64 lib lib/x64 lib/${CMAKE_SYSTEM_PROCESSOR}-linux-gnu targets/${CMAKE_SYSTEM_PROCESSOR}-linux/lib)
# Searches the named folder first, then the toolkit, the system, and Python's packages. Header and library come from one
# place.
function(trainer_find_cuda name header library)
  foreach(place "${hints}" "${toolkit}" "/usr/local;/usr" "${python_folders}")
    unset(found_include CACHE)
    unset(found_library CACHE)
    find_path(found_include ${header} PATHS ${place} PATH_SUFFIXES include NO_DEFAULT_PATH)
    find_library(found_library NAMES ${library} ${ARGN} PATHS ${place} PATH_SUFFIXES ${suffixes} NO_DEFAULT_PATH)
    if(found_include AND found_library)
      break()
    endif()
  endforeach()
  if(NOT found_include OR NOT found_library)
    message(FATAL_ERROR "TRAINER_BACKEND=cuda: no ${header} with its library; name its folder with "
                        "-DTRAINER_CUDNN_ROOT=..., or use TRAINER_BACKEND=cpu")
  endif()
  set(TRAINER_${name}_INCLUDE ${found_include} PARENT_SCOPE)
  set(TRAINER_${name}_LIBRARY ${found_library} PARENT_SCOPE)
  message(STATUS "CUDA backend: ${header} in ${found_include}, library ${found_library}")
  unset(found_include CACHE)
  unset(found_library CACHE)
endfunction()

message(STATUS "CUDA backend: nvcc ${CMAKE_CUDA_COMPILER_VERSION} (${CMAKE_CUDA_COMPILER}), "
               "architectures ${CMAKE_CUDA_ARCHITECTURES}")
# Python's packages have the library only under names with its version.
trainer_find_cuda(CUBLASLT cublasLt.h cublasLt libcublasLt.so.13 libcublasLt.so.12)
trainer_find_cuda(CUDNN cudnn.h cudnn libcudnn.so.9)

file(STRINGS ${TRAINER_CUDNN_INCLUDE}/cudnn_version.h cudnn_major REGEX "^#define CUDNN_MAJOR [0-9]+")
if(NOT cudnn_major MATCHES " (9|[1-9][0-9]+)$")
  message(FATAL_ERROR "TRAINER_BACKEND=cuda: expected cuDNN 9 or later, found \"${cudnn_major}\" in ${TRAINER_CUDNN_INCLUDE}")
endif()
