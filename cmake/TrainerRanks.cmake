# MPI, for runs on several ranks: a module that the program opens where a launcher has started it. So neither the program nor
# the library depends on MPI.
set(TRAINER_MPI auto CACHE STRING "Runs on several ranks by MPI: auto (where it is installed), ON or OFF")
set_property(CACHE TRAINER_MPI PROPERTY STRINGS auto ON OFF)

set(TRAINER_BUILT_MPI OFF)
if(TRAINER_MPI)
  find_package(MPI COMPONENTS C QUIET)
  if(MPI_C_FOUND)
    set(TRAINER_BUILT_MPI ON)
  elseif(NOT TRAINER_MPI STREQUAL auto)
    message(FATAL_ERROR "TRAINER_MPI = ${TRAINER_MPI}: no MPI is installed (Debian: libopenmpi-dev)")
  else()
    message(STATUS "Runs on several ranks: no MPI (Debian: libopenmpi-dev), so built without it")
  endif()
endif()

if(TRAINER_BUILT_MPI)
  add_library(trainer_mpi MODULE src/comm/mpi/comm_mpi.c)
  set_target_properties(trainer_mpi PROPERTIES PREFIX "" SUFFIX .so C_VISIBILITY_PRESET hidden)
  target_include_directories(trainer_mpi PRIVATE src include)
  target_compile_definitions(trainer_mpi PRIVATE TRAINER_VERSION="${PROJECT_VERSION}")
  target_link_libraries(trainer_mpi PRIVATE trainer_options MPI::MPI_C)
endif()
