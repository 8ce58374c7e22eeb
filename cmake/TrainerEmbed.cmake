# trainer_embed(target file...): each file becomes a string of the program, const char <name>_<ending>[].
# Run as a script (-P) with INPUT and OUTPUT it writes such a string.
if(CMAKE_SCRIPT_MODE_FILE)
  get_filename_component(file ${INPUT} NAME)
  string(REPLACE "." "_" name ${file})
  file(READ ${INPUT} bytes HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}") # a character's constant has the sign that char has
  string(REGEX REPLACE "('\\\\x0a',)" "\\1\n" bytes "${bytes}")
  file(WRITE ${OUTPUT} "extern const char ${name}[];\nconst char ${name}[] = {\n${bytes}0};\n")
  return()
endif()

set(TRAINER_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(trainer_embed target)
  foreach(path ${ARGN})
    get_filename_component(file ${path} NAME)
    set(made ${CMAKE_BINARY_DIR}/embedded/${file}.c)
    add_custom_command(OUTPUT ${made} DEPENDS ${path} ${TRAINER_EMBED_SCRIPT} VERBATIM
                       COMMAND ${CMAKE_COMMAND} -DINPUT=${path} -DOUTPUT=${made} -P ${TRAINER_EMBED_SCRIPT})
    target_sources(${target} PRIVATE ${made})
  endforeach()
endfunction()
