# Event files for TensorBoard need protobuf-c: its library and protoc-c. Without them the trainer refuses report.tensorboard.
find_program(TRAINER_PROTOC_C protoc-c)
pkg_check_modules(PROTOBUF_C IMPORTED_TARGET libprotobuf-c)
set(TRAINER_TENSORBOARD OFF)
if(TRAINER_PROTOC_C AND PROTOBUF_C_FOUND)
  set(TRAINER_TENSORBOARD ON)
else()
  message(STATUS "TensorBoard: no protobuf-c (Debian: libprotobuf-c-dev, protobuf-c-compiler), so built without it")
endif()

# The library of the generated code: its header is tensorboard.pb-c.h. Not held to the project's warnings.
function(trainer_add_tensorboard target)
  set(folder ${CMAKE_BINARY_DIR}/proto)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${folder}/tensorboard.pb-c.c ${folder}/tensorboard.pb-c.h
                     COMMAND ${TRAINER_PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR}/proto --c_out=${folder}
                             ${CMAKE_SOURCE_DIR}/proto/tensorboard.proto
                     DEPENDS ${CMAKE_SOURCE_DIR}/proto/tensorboard.proto VERBATIM)
  add_library(trainer_tensorboard STATIC ${folder}/tensorboard.pb-c.c)
  target_include_directories(trainer_tensorboard SYSTEM INTERFACE ${folder})
  target_link_libraries(trainer_tensorboard PUBLIC PkgConfig::PROTOBUF_C)
  target_compile_definitions(${target} PRIVATE TRAINER_TENSORBOARD)
  target_link_libraries(${target} PRIVATE trainer_tensorboard)
endfunction()
