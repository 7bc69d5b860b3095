# What `cmake --install` puts where, and the .deb that `cpack` makes. Included by the top CMakeLists.txt.
include(CMakePackageConfigHelpers)

# The installed command looks for libheaptap.so and its companions from where it lies itself, so the tree can be moved as a whole.
file(RELATIVE_PATH LIB_FROM_BIN ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
target_compile_definitions(room_launch PRIVATE HT_LIB_FROM_BIN="${LIB_FROM_BIN}")

install(TARGETS heaptap_shim heaptap_cxx heaptap_jemalloc heaptap_tcmalloc heaptap_mimalloc
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS heaptap RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${CMAKE_SOURCE_DIR}/include/heaptap/heaptap.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/heaptap)
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# Man pages and completions come from the tables in the command itself. SOURCE_DATE_EPOCH fixes the pages' date.
set(DOCS ${CMAKE_BINARY_DIR}/docs)
string(TIMESTAMP DOCS_DATE "%Y-%m-%d" UTC)
add_custom_command(OUTPUT ${DOCS}/made
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${DOCS}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${DOCS}/man
    COMMAND heaptap --generate man ${DOCS}/man ${DOCS_DATE}
    COMMAND heaptap --generate bash ${DOCS}/heaptap
    COMMAND heaptap --generate zsh ${DOCS}/_heaptap
    COMMAND ${CMAKE_COMMAND} -E touch ${DOCS}/made
    DEPENDS heaptap VERBATIM)
add_custom_target(docs ALL DEPENDS ${DOCS}/made)
install(DIRECTORY ${DOCS}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
install(DIRECTORY ${DOCS}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man7 FILES_MATCHING PATTERN "*.7")
install(FILES ${DOCS}/heaptap DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${DOCS}/_heaptap DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)

# For programs that include heaptap/heaptap.h: nothing is to be linked, both files say where the header is. They find
# it from where they lie themselves.
set(PC_FOLDER ${CMAKE_INSTALL_DATADIR}/pkgconfig)
file(RELATIVE_PATH PREFIX_FROM_PC ${CMAKE_INSTALL_PREFIX}/${PC_FOLDER} ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" PREFIX_FROM_PC ${PREFIX_FROM_PC})
configure_file(${CMAKE_CURRENT_LIST_DIR}/heaptap.pc.in ${CMAKE_BINARY_DIR}/package/heaptap.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/heaptap.pc DESTINATION ${PC_FOLDER})
add_library(heaptap_api INTERFACE)
set_target_properties(heaptap_api PROPERTIES EXPORT_NAME heaptap)
target_include_directories(heaptap_api INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
install(TARGETS heaptap_api EXPORT heaptap)
install(EXPORT heaptap NAMESPACE heaptap:: FILE heaptap-config.cmake DESTINATION ${CMAKE_INSTALL_DATADIR}/cmake/heaptap)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/heaptap-config-version.cmake
    COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_BINARY_DIR}/package/heaptap-config-version.cmake
    DESTINATION ${CMAKE_INSTALL_DATADIR}/cmake/heaptap)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME heaptap)
set(CPACK_PACKAGE_VENDOR heaptap)
set(CPACK_PACKAGE_CONTACT "heaptap maintainers <maintainers@heaptap.invalid>" CACHE STRING "maintainer of the .deb")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "sampling heap profiler for native programs")
file(READ ${CMAKE_CURRENT_LIST_DIR}/description CPACK_DEBIAN_PACKAGE_DESCRIPTION)
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Loaded when they are needed, so that shlibdeps does not see them.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libcurl4")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "graphviz, libjemalloc2, libunwind8")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/triggers)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debianize.cmake)
set(CPACK_HEAPTAP_PACKAGE_FILES ${CMAKE_CURRENT_LIST_DIR})
set(CPACK_HEAPTAP_LIBDIR ${CMAKE_INSTALL_LIBDIR})
include(CPack)

# A .deb on a fresh Debian: installed, used, removed, in a chroot. Needs root and a Debian mirror.
add_custom_target(deb_test COMMAND ${CMAKE_CURRENT_LIST_DIR}/deb-test ${CMAKE_BINARY_DIR} USES_TERMINAL VERBATIM)
