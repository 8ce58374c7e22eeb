# Looks for what the CUDA backend is built with: nvcc 12 or later, cuBLASLt, and cuDNN 9 or later, which may also come from
# a Python environment's nvidia packages. It compiles nothing, so a test can run it as a script (cmake -P).
#
# Sets TRAINER_CUDA_MISSING to "", or to the words for what is not there and where it was looked for. Sets TRAINER_NVCC,
# TRAINER_NVCC_VERSION and TRAINER_CUDNN_VERSION, and the folder and the library of each: TRAINER_CUDNN_INCLUDE,
# TRAINER_CUDNN_LIBRARY, TRAINER_CUBLASLT_INCLUDE, TRAINER_CUBLASLT_LIBRARY.
set(TRAINER_CUDNN_ROOT "" CACHE PATH "Folder of cuDNN, with include/ and lib/, where it is not in the toolkit or the system")
set(TRAINER_CUBLASLT_ROOT "" CACHE PATH "Folder of cuBLASLt, with include/ and lib/, where it is not in the toolkit")
find_program(TRAINER_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATH_SUFFIXES bin PATHS /usr/local/cuda)
set(TRAINER_CUDA_MISSING "")

# Sets TRAINER_NVCC_VERSION, or says in TRAINER_CUDA_MISSING why there is no nvcc that will do.
function(trainer_read_nvcc)
  set(oldest 12.0)
  set(version "")
  if(EXISTS "${TRAINER_NVCC}")
    execute_process(COMMAND ${TRAINER_NVCC} --version OUTPUT_VARIABLE text ERROR_QUIET)
    if(text MATCHES "release ([0-9]+\\.[0-9]+)")
      set(version ${CMAKE_MATCH_1})
    endif()
  endif()
  set(TRAINER_NVCC_VERSION "${version}" PARENT_SCOPE)
  if(version STREQUAL "")
    set(TRAINER_CUDA_MISSING "no nvcc in PATH, in CUDA_HOME or CUDA_PATH, or in /usr/local/cuda" PARENT_SCOPE)
  elseif(version VERSION_LESS oldest)
    set(TRAINER_CUDA_MISSING "CUDA ${oldest} or later is needed, and ${TRAINER_NVCC} is of ${version}" PARENT_SCOPE)
  endif()
endfunction()

# Searches the folder that a variable names first, then the toolkit, the system, and Python's packages. Header and library
# come from one place. The other arguments are the library's names: Python's packages have only those with its version.
function(trainer_find_cuda name header)
  set(toolkit "")
  foreach(nvcc ${TRAINER_NVCC} ${real_nvcc}) # a link in PATH leads to the toolkit
    get_filename_component(folder ${nvcc} DIRECTORY)
    list(APPEND toolkit ${folder}/.. ${folder}/../targets/${CMAKE_HOST_SYSTEM_PROCESSOR}-linux)
  endforeach()
  foreach(place "${TRAINER_${name}_ROOT};${${name}_hints}" "${toolkit}" "/usr/local;/usr" "${python_folders}")
    unset(found_include CACHE)
    unset(found_library CACHE)
    find_path(found_include ${header} PATHS ${place} PATH_SUFFIXES include NO_DEFAULT_PATH)
    find_library(found_library NAMES ${ARGN} PATHS ${place} PATH_SUFFIXES ${suffixes} NO_DEFAULT_PATH)
    if(found_include AND found_library)
      break()
    endif()
  endforeach()
  if(found_include AND found_library)
    set(TRAINER_${name}_INCLUDE ${found_include} PARENT_SCOPE)
    set(TRAINER_${name}_LIBRARY ${found_library} PARENT_SCOPE)
  else()
    set(TRAINER_CUDA_MISSING "no ${header} with its library in the toolkit, the system or Python's nvidia packages; \
-DTRAINER_${name}_ROOT=FOLDER names its folder" PARENT_SCOPE)
  endif()
  unset(found_include CACHE)
  unset(found_library CACHE)
endfunction()

# Sets TRAINER_CUDNN_VERSION.
function(trainer_read_cudnn)
  set(version "")
  foreach(part MAJOR MINOR PATCHLEVEL)
    file(STRINGS ${TRAINER_CUDNN_INCLUDE}/cudnn_version.h line REGEX "^#define CUDNN_${part} +[0-9]+")
    string(REGEX MATCH "[0-9]+" number "${line}")
    string(APPEND version ".${number}")
  endforeach()
  string(SUBSTRING "${version}" 1 -1 version)
  set(TRAINER_CUDNN_VERSION "${version}" PARENT_SCOPE)
  if(version VERSION_LESS 9)
    set(TRAINER_CUDA_MISSING "cuDNN 9 or later is needed, and the one in ${TRAINER_CUDNN_INCLUDE} is ${version}; \
-DTRAINER_CUDNN_ROOT=FOLDER names another" PARENT_SCOPE)
  endif()
endfunction()

trainer_read_nvcc()
if(NOT TRAINER_CUDA_MISSING)
  get_filename_component(real_nvcc ${TRAINER_NVCC} REALPATH)
  string(REGEX MATCH "^[0-9]+" major ${TRAINER_NVCC_VERSION})
  # site-packages/nvidia of the Python in PATH, if it has any.
  find_program(TRAINER_PYTHON python3)
  set(python_folders)
  if(TRAINER_PYTHON)
    execute_process(COMMAND ${TRAINER_PYTHON} -c "import nvidia; print(';'.join(nvidia.__path__))"
                    OUTPUT_VARIABLE python_nvidia OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    foreach(folder ${python_nvidia})
      list(APPEND python_folders ${folder}/cudnn ${folder}/cublas ${folder}/cu${major})
    endforeach()
  endif()
  set(CUDNN_hints $ENV{CUDNN_ROOT} $ENV{CUDNN_PATH})
  set(suffixes lib64 lib lib/x64 lib/${CMAKE_HOST_SYSTEM_PROCESSOR}-linux-gnu)
  trainer_find_cuda(CUBLASLT cublasLt.h cublasLt libcublasLt.so.13 libcublasLt.so.12)
endif()
if(NOT TRAINER_CUDA_MISSING)
  trainer_find_cuda(CUDNN cudnn.h cudnn libcudnn.so.9)
endif()
if(NOT TRAINER_CUDA_MISSING)
  trainer_read_cudnn()
endif()
