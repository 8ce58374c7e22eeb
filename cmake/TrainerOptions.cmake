# Gives every target its warnings and sanitizers, through one interface library.
add_library(trainer_options INTERFACE)
target_compile_options(trainer_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes
                       -Wmissing-prototypes -Wno-psabi -Wno-string-conversion)
# The project compares floats exactly on purpose (ties, zeros); vector types change size with the instruction set (psabi);
# CHECK(!"what should be") is how a place that cannot be reached says why (clang's string-conversion).
if(TRAINER_WERROR)
  target_compile_options(trainer_options INTERFACE -Werror)
endif()
if(TRAINER_SANITIZE)
  target_compile_options(trainer_options INTERFACE -fsanitize=${TRAINER_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all -g)
  target_link_options(trainer_options INTERFACE -fsanitize=${TRAINER_SANITIZE})
endif()
# Instruments the code for libFuzzer; only its targets (tests/fuzz) have its main function.
if(TRAINER_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "TRAINER_FUZZ=ON needs clang, whose library libFuzzer is")
  endif()
  target_compile_options(trainer_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(trainer_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
