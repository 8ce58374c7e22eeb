# Event files for TensorBoard need protobuf-c: its library and protoc-c. Without them the trainer refuses report.tensorboard.
find_program(TRAINER_PROTOC_C protoc-c)
pkg_check_modules(PROTOBUF_C IMPORTED_TARGET libprotobuf-c)
set(TRAINER_TENSORBOARD OFF)
if(TRAINER_PROTOC_C AND PROTOBUF_C_FOUND)
  set(TRAINER_TENSORBOARD ON)
  list(APPEND TRAINER_REQUIRES libprotobuf-c)
  list(APPEND TRAINER_REQUIRES_PACKAGES libprotobuf-c-dev)
else()
  message(STATUS "TensorBoard: no protobuf-c (Debian: libprotobuf-c-dev, protobuf-c-compiler), so built without it")
endif()

# The generated code: its header is tensorboard.pb-c.h. Not held to the project's warnings; part of the library itself, so that
# an installed one is whole.
function(trainer_add_tensorboard target)
  set(folder ${CMAKE_BINARY_DIR}/proto)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${folder}/tensorboard.pb-c.c ${folder}/tensorboard.pb-c.h
                     COMMAND ${TRAINER_PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR}/proto --c_out=${folder}
                             ${CMAKE_SOURCE_DIR}/proto/tensorboard.proto
                     DEPENDS ${CMAKE_SOURCE_DIR}/proto/tensorboard.proto VERBATIM)
  add_library(trainer_tensorboard OBJECT ${folder}/tensorboard.pb-c.c)
  target_include_directories(trainer_tensorboard SYSTEM INTERFACE ${folder})
  target_link_libraries(trainer_tensorboard PUBLIC PkgConfig::PROTOBUF_C)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:trainer_tensorboard>)
  target_include_directories(${target} SYSTEM PRIVATE ${folder})
  add_dependencies(${target} trainer_tensorboard)
  target_compile_definitions(${target} PRIVATE TRAINER_TENSORBOARD)
  target_link_libraries(${target} PRIVATE PkgConfig::PROTOBUF_C)
endfunction()
