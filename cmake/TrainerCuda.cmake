# Enables CUDA as a language, for the architectures that the program is to run on. TrainerCudaFind.cmake has found the
# compiler and the libraries.
if(NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER ${TRAINER_NVCC})
endif()

# Machine code for the GPUs of this machine. Where it has none, the program is for another machine: then machine code for
# sm_90, and PTX from which a driver makes the code of any GPU since sm_80, when the program first runs there. Code for
# more generations makes the build longer by as many times, and a package can ask for it.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader OUTPUT_VARIABLE here
                  RESULT_VARIABLE failed ERROR_QUIET)
  string(REGEX MATCHALL "[0-9]+\\.[0-9]+" here "${here}")
  list(TRANSFORM here REPLACE "\\." "")
  list(TRANSFORM here APPEND -real)
  list(REMOVE_DUPLICATES here)
  if(failed OR NOT here)
    set(here 80-virtual 90)
  endif()
  set(CMAKE_CUDA_ARCHITECTURES "${here}" CACHE STRING "CUDA architectures to build for")
endif()
enable_language(CUDA)
find_package(CUDAToolkit 12.0 REQUIRED)

message(STATUS "CUDA backend: nvcc ${CMAKE_CUDA_COMPILER_VERSION} (${CMAKE_CUDA_COMPILER}), "
               "architectures ${CMAKE_CUDA_ARCHITECTURES}")
message(STATUS "CUDA backend: cublasLt.h in ${TRAINER_CUBLASLT_INCLUDE}, library ${TRAINER_CUBLASLT_LIBRARY}")
message(STATUS "CUDA backend: cudnn.h ${TRAINER_CUDNN_VERSION} in ${TRAINER_CUDNN_INCLUDE}, library ${TRAINER_CUDNN_LIBRARY}")

# The folders of its libraries that the loader does not search by itself stand in every program that is built or installed,
# so that it finds them (RUNPATH). TrainerInstall.cmake gives them to programs of users too.
set(TRAINER_CUDA_FOLDERS)
foreach(library ${TRAINER_CUDNN_LIBRARY} ${TRAINER_CUBLASLT_LIBRARY})
  get_filename_component(folder ${library} ABSOLUTE)
  get_filename_component(folder ${folder} DIRECTORY)
  if(NOT folder MATCHES "^(/usr)?/lib(64)?(/[a-z0-9_]+-linux-gnu)?$")
    list(APPEND TRAINER_CUDA_FOLDERS ${folder})
  endif()
endforeach()
list(REMOVE_DUPLICATES TRAINER_CUDA_FOLDERS)
list(APPEND CMAKE_BUILD_RPATH ${TRAINER_CUDA_FOLDERS})
list(APPEND CMAKE_INSTALL_RPATH ${TRAINER_CUDA_FOLDERS})
