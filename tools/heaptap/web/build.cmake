# Makes flame_page.c, which holds the flame graph's page, with npm in a folder of its own; without npm or without a network
# one that says so. Run at every build: cmake -DSOURCE=web/ -DWORK=folder -DOUT=flame_page.c -P build.cmake
#
# Nothing is done when the product was made from the present sources; a product without a page is tried again each time npm
# is there. HEAPTAP_NPM=none in the environment, or -DSKIP=reason, builds without the page. With npm WORK/flame_page.html
# is written as well: -DPAGE=that file, from any machine, takes the place of npm. It must be of the same sources.
cmake_policy(VERSION 3.18)

file(GLOB sources ${SOURCE}/*.json ${SOURCE}/*.mjs ${SOURCE}/*.js ${SOURCE}/*.css ${SOURCE}/*.html ${SOURCE}/.npmrc)
list(SORT sources)
set(print "")
foreach(source ${sources})
    file(SHA256 ${source} hash)
    string(APPEND print "${hash}")
endforeach()
file(SHA256 ${CMAKE_CURRENT_LIST_FILE} hash)
string(SHA256 print "${print}${hash}")

set(made "${print}")
if(PAGE)
    if(NOT EXISTS ${PAGE})
        message(FATAL_ERROR "HEAPTAP_FLAME_PAGE: there is no ${PAGE}")
    endif()
    file(SHA256 ${PAGE} hash)
    set(made "${print} ${hash}")
endif()

set(stamp ${WORK}/made-from)
if(EXISTS ${stamp} AND EXISTS ${OUT})
    file(READ ${stamp} made_from)
    if(made_from STREQUAL made)
        return()
    endif()
endif()

# Writes the product without a page, unless that is what is there: a new file means compiling and linking again.
function(without_page reason)
    set(text "// Written by web/build.cmake: the flame graph's page is missing.
#include \"view/flame/web.h\"
const char ht_flame_web_page[] = \"\";
const char ht_flame_web_missing[] = \"${reason}\";
")
    set(present "")
    if(EXISTS ${OUT})
        file(READ ${OUT} present)
    endif()
    if(NOT present STREQUAL text)
        file(WRITE ${OUT} "${text}")
        message(STATUS "heaptap flame will have no page: ${reason}")
    endif()
    file(REMOVE ${stamp})
endfunction()

if(SKIP)
    without_page("${SKIP}")
    return()
endif()

# Takes the page that was built beforehand; build.mjs checks the same of its own.
function(given_page)
    file(READ ${PAGE} text)
    string(REGEX MATCH "^<!-- heaptap flame, made from ([0-9a-f]+) -->\n" head "${text}")
    if(NOT CMAKE_MATCH_1 STREQUAL print)
        message(FATAL_ERROR "HEAPTAP_FLAME_PAGE: ${PAGE} was made from '${CMAKE_MATCH_1}', not from these sources, ${print}")
    endif()
    foreach(mark TITLE DATA)
        string(FIND "${text}" "@HEAPTAP_${mark}@" ${mark})
        string(FIND "${text}" "@HEAPTAP_${mark}@" last REVERSE)
        if(${mark} EQUAL -1 OR NOT ${mark} EQUAL last)
            message(FATAL_ERROR "HEAPTAP_FLAME_PAGE: ${PAGE} does not have @HEAPTAP_${mark}@ once")
        endif()
    endforeach()
    string(LENGTH "${head}" begin)
    math(EXPR begin "2 * ${begin}")
    file(READ ${PAGE} bytes HEX)
    string(SUBSTRING "${bytes}" ${begin} -1 bytes)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    if(TITLE GREATER DATA OR bytes MATCHES "0x([89a-f]|00)")
        message(FATAL_ERROR "HEAPTAP_FLAME_PAGE: ${PAGE} is not a page of heaptap flame")
    endif()
    string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
    file(WRITE ${OUT} "// Written by web/build.cmake: the flame graph's page, as it was given.
#include \"view/flame/web.h\"
const char ht_flame_web_page[] = {
${bytes}0};
const char ht_flame_web_missing[] = \"\";
")
    file(WRITE ${stamp} "${made}")
endfunction()

if(PAGE)
    given_page()
    return()
endif()
if("$ENV{HEAPTAP_NPM}" STREQUAL "none")
    without_page("HEAPTAP_NPM=none was set")
    return()
endif()
find_program(NPM npm)
find_program(NODE NAMES node nodejs)
if(NOT NPM OR NOT NODE)
    without_page("npm was not found")
    return()
endif()

file(MAKE_DIRECTORY ${WORK})
foreach(source ${sources})
    file(COPY ${source} DESTINATION ${WORK})
endforeach()
execute_process(COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --prefer-offline --fetch-retries=1
    --fetch-retry-mintimeout=1000 --fetch-timeout=30000 --loglevel=error
    WORKING_DIRECTORY ${WORK} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output TIMEOUT 300)
if(NOT result EQUAL 0)
    message(STATUS "npm ci failed:\n${output}")
    without_page("npm could not fetch its parts")
    return()
endif()
execute_process(COMMAND ${NODE} build.mjs ${OUT}.new flame_page.html ${print} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE result
    OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT result EQUAL 0)
    message(WARNING "the flame graph's page cannot be built:\n${output}") # a mistake in it, or a very old node
    without_page("building it with npm failed")
    return()
endif()
file(RENAME ${OUT}.new ${OUT})
file(WRITE ${stamp} "${made}")
