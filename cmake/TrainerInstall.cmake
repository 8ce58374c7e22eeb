# Tells `cmake --install` and CPack which files go where. Component "program": the program, its manual pages,
# completions, configs; component "development": the library, its headers, the pkg-config file; component "mpi": the module
# for runs on several ranks, which alone depends on MPI.

# Manual pages and completions come from the program's own tables.
set(pages ${CMAKE_BINARY_DIR}/pages)
if(NOT CMAKE_CROSSCOMPILING)
  add_custom_command(
    OUTPUT ${pages}/written
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${pages}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${pages}
    COMMAND trainer help --format man --out ${pages}/man
    COMMAND trainer completion bash > ${pages}/trainer
    COMMAND trainer completion zsh > ${pages}/_trainer
    COMMAND ${CMAKE_COMMAND} -E touch ${pages}/written
    DEPENDS trainer VERBATIM)
  add_custom_target(trainer_pages ALL DEPENDS ${pages}/written)
  install(DIRECTORY ${pages}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program FILES_MATCHING PATTERN *.1)
  install(DIRECTORY ${pages}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man5 COMPONENT program FILES_MATCHING PATTERN *.5)
  install(FILES ${pages}/trainer DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT program)
  # Debian's zsh looks for the completions of packages in another folder.
  install(CODE "
    set(functions site-functions)
    if(CMAKE_INSTALL_PREFIX MATCHES \"/usr/?$\" AND EXISTS /etc/debian_version)
      set(functions vendor-completions)
    endif()
    file(INSTALL \"${pages}/_trainer\" DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/zsh/\${functions}\")
  " COMPONENT program)
endif()
install(TARGETS trainer RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
if(TARGET trainer_mpi)
  install(TARGETS trainer_mpi LIBRARY DESTINATION lib/trainer COMPONENT mpi) # where the program looks (src/comm/launcher.c)
endif()
install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/trainer COMPONENT program)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright COMPONENT program)

# The library is installed as one object in which only the functions of the public headers are global. So no name of its
# inside meets one of the user's program.
set(interface ${CMAKE_BINARY_DIR}/interface)
file(GLOB public_headers CONFIGURE_DEPENDS include/trainer/*.h)
set(functions)
foreach(header ${public_headers})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  file(READ ${header} text)
  string(REGEX MATCHALL "trainer_[a-z_]+\\(" found "${text}")
  list(APPEND functions ${found})
endforeach()
string(REPLACE "(" "\n" functions "${functions}")
string(REPLACE ";" "" functions "${functions}")
file(WRITE ${interface}/functions "${functions}")
add_custom_command(
  OUTPUT ${interface}/libtrainer.a
  COMMAND ${CMAKE_LINKER} -r --whole-archive $<TARGET_FILE:libtrainer> -o ${interface}/trainer.o
  COMMAND ${CMAKE_OBJCOPY} --keep-global-symbols=${interface}/functions ${interface}/trainer.o
  COMMAND ${CMAKE_AR} rcs ${interface}/libtrainer.a ${interface}/trainer.o
  DEPENDS libtrainer ${interface}/functions VERBATIM)
add_custom_target(trainer_interface ALL DEPENDS ${interface}/libtrainer.a)
install(FILES ${interface}/libtrainer.a DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY include/trainer DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
set(pkgconfig_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
# The prefix is relative to the file itself, so that an installation may be moved.
file(RELATIVE_PATH pkgconfig_prefix /${pkgconfig_folder} /)
string(REPLACE ";" " " pkgconfig_requires "${TRAINER_REQUIRES}")
set(pkgconfig_libraries -lpthread -lm -l${CMAKE_DL_LIBS})
if(TRAINER_BUILT_BACKEND STREQUAL cuda)
  get_target_property(cudart CUDA::cudart_static IMPORTED_LOCATION)
  list(PREPEND pkgconfig_libraries ${TRAINER_CUDNN_LIBRARY} ${TRAINER_CUBLASLT_LIBRARY} ${cudart} -lrt -lstdc++)
  list(TRANSFORM TRAINER_CUDA_FOLDERS PREPEND -Wl,-rpath, OUTPUT_VARIABLE pkgconfig_folders)
  list(PREPEND pkgconfig_libraries ${pkgconfig_folders})
endif()
string(REPLACE ";" " " pkgconfig_libraries "${pkgconfig_libraries}")
configure_file(cmake/trainer.pc.in trainer.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/trainer.pc DESTINATION ${pkgconfig_folder} COMPONENT development)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The authors of trainer <trainer@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL program development)
if(TARGET trainer_mpi)
  list(APPEND CPACK_COMPONENTS_ALL mpi)
endif()
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME trainer)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS gnuplot-nox)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS trainer-mpi)
set(CPACK_DEBIAN_MPI_PACKAGE_NAME trainer-mpi)
set(CPACK_DEBIAN_MPI_PACKAGE_SECTION science)
set(CPACK_DEBIAN_MPI_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_MPI_PACKAGE_DEPENDS "trainer (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_MPI_PACKAGE_RECOMMENDS openmpi-bin)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME trainer-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
string(REPLACE ";" ", " development_depends "${TRAINER_REQUIRES_PACKAGES}")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${development_depends}")
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "Trains neural networks on images, from a config file")
set(CPACK_COMPONENT_MPI_DESCRIPTION "One run of trainer on several machines, by Open MPI")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Library and headers of trainer")
include(CPack)
