# File formats by libraries that the trainer can do without. Where a library is missing, the program refuses the format
# in one line that names the Debian package.

# trainer_find_format(NAME module package what): sets TRAINER_NAME to ON where pkg-config knows the module, and makes
# PkgConfig::NAME.
macro(trainer_find_format name module package what)
  pkg_check_modules(${name} IMPORTED_TARGET ${module})
  set(TRAINER_${name} ${${name}_FOUND})
  if(TRAINER_${name})
    list(APPEND TRAINER_REQUIRES ${module})
    list(APPEND TRAINER_REQUIRES_PACKAGES ${package})
  else()
    message(STATUS "${what}: no ${module} (Debian: ${package}), so built without it")
  endif()
endmacro()

trainer_find_format(PNG libpng libpng-dev "PNG images")
trainer_find_format(JPEG libjpeg libjpeg-dev "JPEG images")
trainer_find_format(EXIF libexif libexif-dev "How photos are turned")
trainer_find_format(ZIP libzip libzip-dev "NPZ files")

# Event files for TensorBoard and ONNX files are messages of protocol buffers: protobuf-c's library and protoc-c.
find_program(TRAINER_PROTOC_C protoc-c)
pkg_check_modules(PROTOBUF_C IMPORTED_TARGET libprotobuf-c)
set(TRAINER_PROTOBUF OFF)
if(TRAINER_PROTOC_C AND PROTOBUF_C_FOUND)
  set(TRAINER_PROTOBUF ON)
  list(APPEND TRAINER_REQUIRES libprotobuf-c)
  list(APPEND TRAINER_REQUIRES_PACKAGES libprotobuf-c-dev)
else()
  message(STATUS "TensorBoard, ONNX: no protobuf-c (Debian: libprotobuf-c-dev, protobuf-c-compiler), so built without it")
endif()
set(TRAINER_TENSORBOARD ${TRAINER_PROTOBUF})

# Compiles the generated code, with the headers tensorboard.pb-c.h and onnx.pb-c.h. It is not held to the project's
# warnings. It is part of the library itself, so that an installed library is complete.
function(trainer_add_messages target)
  set(folder ${CMAKE_BINARY_DIR}/proto)
  file(MAKE_DIRECTORY ${folder})
  foreach(name tensorboard onnx)
    add_custom_command(OUTPUT ${folder}/${name}.pb-c.c ${folder}/${name}.pb-c.h
                       COMMAND ${TRAINER_PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR}/proto --c_out=${folder}
                               ${CMAKE_SOURCE_DIR}/proto/${name}.proto
                       DEPENDS ${CMAKE_SOURCE_DIR}/proto/${name}.proto VERBATIM)
    list(APPEND sources ${folder}/${name}.pb-c.c)
  endforeach()
  add_library(trainer_messages OBJECT ${sources})
  target_include_directories(trainer_messages SYSTEM INTERFACE ${folder})
  target_link_libraries(trainer_messages PUBLIC PkgConfig::PROTOBUF_C)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:trainer_messages>)
  target_include_directories(${target} SYSTEM PRIVATE ${folder})
  add_dependencies(${target} trainer_messages)
  target_compile_definitions(${target} PRIVATE TRAINER_TENSORBOARD TRAINER_ONNX)
  target_link_libraries(${target} PRIVATE PkgConfig::PROTOBUF_C)
endfunction()

function(trainer_add_formats target)
  foreach(name PNG JPEG EXIF ZIP)
    if(TRAINER_${name})
      target_compile_definitions(${target} PRIVATE TRAINER_${name})
      target_link_libraries(${target} PRIVATE PkgConfig::${name})
    endif()
  endforeach()
  if(TRAINER_PROTOBUF)
    trainer_add_messages(${target})
  endif()
endfunction()
