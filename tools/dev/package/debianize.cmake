# Run by cpack on the staged tree: what Debian's policy wants beyond what `cmake --install` makes.
cmake_policy(VERSION 3.18)
set(root ${CPACK_TEMPORARY_DIRECTORY})
set(usr ${root}/usr)
set(doc ${usr}/share/doc/heaptap)

# Debian's zsh does not look in site-functions below /usr.
if(EXISTS ${usr}/share/zsh/site-functions/_heaptap)
    file(MAKE_DIRECTORY ${usr}/share/zsh/vendor-completions)
    file(RENAME ${usr}/share/zsh/site-functions/_heaptap ${usr}/share/zsh/vendor-completions/_heaptap)
    file(REMOVE_RECURSE ${usr}/share/zsh/site-functions)
endif()

file(REMOVE ${doc}/LICENSE) # the copyright file says where it is
file(COPY ${CPACK_HEAPTAP_PACKAGE_FILES}/copyright DESTINATION ${doc})
execute_process(COMMAND date -R -u --date=@$ENV{SOURCE_DATE_EPOCH} OUTPUT_VARIABLE date ERROR_QUIET
    OUTPUT_STRIP_TRAILING_WHITESPACE)
if(date STREQUAL "")
    execute_process(COMMAND date -R -u OUTPUT_VARIABLE date OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
file(WRITE ${doc}/changelog "heaptap (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium\n\n"
    "  * Built from the source tree with cpack.\n\n -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
file(MAKE_DIRECTORY ${usr}/share/lintian/overrides)
configure_file(${CPACK_HEAPTAP_PACKAGE_FILES}/lintian-overrides ${usr}/share/lintian/overrides/heaptap COPYONLY)
file(GLOB pages ${usr}/share/man/man*/*)
execute_process(COMMAND gzip -9nf ${pages} ${doc}/changelog COMMAND_ERROR_IS_FATAL ANY)

# Whatever the umask was.
file(GLOB_RECURSE everything LIST_DIRECTORIES true ${root}/*)
foreach(path ${everything})
    if(IS_DIRECTORY ${path} OR path MATCHES "/bin/")
        file(CHMOD ${path} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
            WORLD_EXECUTE)
    else()
        file(CHMOD ${path} PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
    endif()
endforeach()
