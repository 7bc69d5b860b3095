# Rooms: the folders of src/ and tools/heaptap/, an OBJECT library each, and the floors that each may stand on.
#
# ht_room(FOLDER FLOORS room...) makes the target room_NAME (the folder below its tree, / as _) of every *.c in FOLDER.
# A room may use the floors that it names and those that these stand on; tests/audit/audit_arrows.py holds that, by the
# includes of its files and by the symbols that its objects leave undefined. ht_rooms_write() tells it what there is.
function(ht_room folder)
    cmake_parse_arguments(ROOM "" "" "FLOORS;SOURCES;OPTIONS;LIBRARIES" ${ARGN})
    file(RELATIVE_PATH path ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${folder})
    string(REPLACE / _ name ${folder})
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.c)
    add_library(room_${name} OBJECT ${sources} ${ROOM_SOURCES})
    set_target_properties(room_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
    target_link_libraries(room_${name} PRIVATE ht_flags ${ROOM_LIBRARIES})
    target_include_directories(room_${name} PRIVATE ${PROTO_DIR})
    target_compile_options(room_${name} PRIVATE ${ROOM_OPTIONS})
    add_dependencies(room_${name} ht_proto)
    if(HEAPTAP_SANITIZE)
        target_compile_options(room_${name} PRIVATE -fsanitize=${HEAPTAP_SANITIZE})
    endif()
    # A line for each thing, so that no separator can be a part of a path.
    set(lines "room ${path}\n")
    foreach(floor ${ROOM_FLOORS})
        string(APPEND lines "floor ${floor}\n")
    endforeach()
    set_property(GLOBAL APPEND_STRING PROPERTY HT_ROOMS
        "${lines}object $<JOIN:$<TARGET_OBJECTS:room_${name}>,\nobject >\n")
endfunction()

function(ht_room_objects ret)
    set(objects "")
    foreach(name ${ARGN})
        list(APPEND objects $<TARGET_OBJECTS:room_${name}>)
    endforeach()
    set(${ret} ${objects} PARENT_SCOPE)
endfunction()

function(ht_rooms_write file)
    get_property(rooms GLOBAL PROPERTY HT_ROOMS)
    file(GENERATE OUTPUT ${file} CONTENT "${rooms}")
endfunction()
