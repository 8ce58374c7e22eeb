# Decides which backends are built. The CPU backend always is. Its operations are compiled once per variant, a scalar
# type and an instruction set, chosen at run time (src/backend/cpu/cpu_variant.h).

set(backend ${TRAINER_BACKEND})
if(NOT backend MATCHES "^(cpu|cuda|auto)$")
  message(FATAL_ERROR "TRAINER_BACKEND=${backend}: expected cpu, cuda or auto")
endif()
if(NOT backend STREQUAL cpu)
  include(TrainerCudaFind)
endif()
if(backend STREQUAL auto)
  if(TRAINER_SANITIZE OR TRAINER_FUZZ)
    set(TRAINER_CUDA_MISSING "sanitizers and fuzzers do not know it")
  elseif(NOT TRAINER_CUDA_MISSING)
    # An nvcc that refuses the machine's C++ compiler, or finds none, must not stop the build.
    include(CheckLanguage)
    if(NOT DEFINED ENV{CUDACXX})
      set(ENV{CUDACXX} ${TRAINER_NVCC})
    endif()
    check_language(CUDA)
    if(NOT CMAKE_CUDA_COMPILER)
      set(TRAINER_CUDA_MISSING "${TRAINER_NVCC} does not compile here: CMakeFiles/CheckCUDA in the build folder tells why")
    endif()
  endif()
  set(backend cuda)
  if(TRAINER_CUDA_MISSING)
    set(backend cpu)
    message(STATUS "TRAINER_BACKEND=auto: building for the CPU alone, without CUDA: ${TRAINER_CUDA_MISSING}")
  endif()
elseif(TRAINER_CUDA_MISSING)
  message(FATAL_ERROR "TRAINER_BACKEND=cuda: ${TRAINER_CUDA_MISSING}; or use TRAINER_BACKEND=cpu")
endif()

if(backend STREQUAL cuda)
  include(TrainerCuda)
endif()
if(TRAINER_BACKEND STREQUAL auto AND backend STREQUAL cuda)
  message(STATUS "TRAINER_BACKEND=auto: building for the CPU and CUDA ${TRAINER_NVCC_VERSION} with cuDNN "
                 "${TRAINER_CUDNN_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
endif()
set(TRAINER_BUILT_BACKEND ${backend})

# OFF skips the AVX2 and AVX-512 kernels; the build then takes a third of the time.
option(TRAINER_VECTORS "Build the CPU backend's AVX2 and AVX-512 variants where the machine is an x86" ON)
set(TRAINER_X86 OFF)
if(TRAINER_VECTORS AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(TRAINER_X86 ON)
endif()

# Batch normalization and activation must give the same bits in one operation as in two, so these files are compiled
# without contraction into FMAs. Memory is their limit anyway. The list has names and no pattern: it decides last bits.
set(TRAINER_CPU_WITHOUT_CONTRACTION cpu_activation.c cpu_batchnorm.c cpu_batchnorm_fold.c cpu_batchnorm_fused.c
    cpu_batchnorm_fused_backward.c)

# Makes one object library per variant: every cpu_<op>.c, those of conv/ too, with CPU_SCALAR_<scalar> and CPU_ISA_<isa>,
# named cpu_<scalar>_<isa>.
function(trainer_add_cpu_variant target scalar isa)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/backend/cpu/cpu_*.c
       ${CMAKE_SOURCE_DIR}/src/backend/cpu/conv/cpu_*.c)
  list(TRANSFORM TRAINER_CPU_WITHOUT_CONTRACTION PREPEND ${CMAKE_SOURCE_DIR}/src/backend/cpu/ OUTPUT_VARIABLE exact)
  set_source_files_properties(${exact} TARGET_DIRECTORY ${target} PROPERTIES
                              COMPILE_OPTIONS -ffp-contract=off COMPILE_DEFINITIONS CPU_WITHOUT_CONTRACTION)
  set(name cpu_${scalar}_${isa})
  add_library(${name} OBJECT ${sources})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
  target_compile_definitions(${name} PRIVATE CPU_VARIANT_NAME=${scalar}_${isa} CPU_SCALAR_${scalar} CPU_ISA_${isa})
  target_compile_options(${name} PRIVATE -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math ${ARGN})
  target_link_libraries(${name} PRIVATE trainer_options)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${name}>)
endfunction()

function(trainer_add_backends target)
  file(GLOB shared_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/backend/cpu/shared/*.c
       ${CMAKE_SOURCE_DIR}/src/backend/reference/*.c)
  target_sources(${target} PRIVATE ${shared_sources})
  foreach(scalar f32 f64)
    trainer_add_cpu_variant(${target} ${scalar} portable)
    if(TRAINER_X86)
      trainer_add_cpu_variant(${target} ${scalar} avx2 -mavx2 -mfma -mprefer-vector-width=256)
      trainer_add_cpu_variant(${target} ${scalar} avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma
                              -mprefer-vector-width=512)
    endif()
  endforeach()
  if(TRAINER_X86)
    target_compile_definitions(${target} PRIVATE TRAINER_X86)
  endif()
  if(TRAINER_BUILT_BACKEND STREQUAL cuda)
    trainer_add_cuda(${target})
  endif()
endfunction()

# cudart is linked into the program and loads the driver itself, so that the program starts where there is none.
function(trainer_add_cuda target)
  add_subdirectory(${CMAKE_SOURCE_DIR}/cuda)
  target_compile_definitions(${target} PRIVATE TRAINER_CUDA)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/cuda)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:trainer_cuda_host> $<TARGET_OBJECTS:trainer_cuda_kernels>)
  target_link_libraries(${target} PUBLIC ${TRAINER_CUDNN_LIBRARY} ${TRAINER_CUBLASLT_LIBRARY} CUDA::cudart_static)
endfunction()
