# What the build makes from SQL, words and files. The generator is a C program of ours (server/tools/gen*.c); it writes a file
# only when its content changed. Lists are globbed at every build, so a new file needs no change here.
enable_language(ASM)
find_package(Git QUIET)

file(GLOB gen_sources CONFIGURE_DEPENDS server/tools/gen*.c)
add_executable(muster_gen ${gen_sources})
target_link_libraries(muster_gen PRIVATE PkgConfig::JANSSON PkgConfig::SODIUM PkgConfig::ZLIB)
foreach(folder base data db net engine domain store http api work)
  file(MAKE_DIRECTORY ${GENERATED}/${folder})
endforeach()
# It gives nothing back before it ends, so a leak checker has nothing to say about it.
set(gen ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 $<TARGET_FILE:muster_gen>)

file(GLOB query_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/sql/queries/*.sql)
file(GLOB script_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/sql/migrations/*.sql ${CMAKE_SOURCE_DIR}/sql/functions/*.sql
  ${CMAKE_SOURCE_DIR}/sql/demo/*.sql)
file(GLOB word_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/web/i18n/en.json ${CMAKE_SOURCE_DIR}/web/i18n/zh-CN.json)
file(GLOB_RECURSE asset_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/web/* ${CMAKE_SOURCE_DIR}/playbooks/*)
list(FILTER asset_files EXCLUDE REGEX "/web/i18n/|/README\\.md$|~$|/\\.")

add_custom_command(OUTPUT ${GENERATED}/db/queries.h ${GENERATED}/db/queries.c
  COMMAND ${gen} queries ${GENERATED}/db ${query_files}
  DEPENDS muster_gen ${query_files} COMMENT "named queries" VERBATIM)
add_custom_command(OUTPUT ${GENERATED}/db/migrations.h ${GENERATED}/db/migrations.c
  COMMAND ${gen} migrations ${GENERATED}/db ${script_files}
  DEPENDS muster_gen ${script_files} COMMENT "migrations" VERBATIM)
add_custom_command(OUTPUT ${GENERATED}/base/words.h ${GENERATED}/base/words.c
  COMMAND ${gen} words ${GENERATED}/base ${word_files}
  DEPENDS muster_gen ${word_files} COMMENT "words" VERBATIM)
add_custom_command(OUTPUT ${GENERATED}/base/assets.h ${GENERATED}/base/assets.c ${GENERATED}/base/assets.S ${GENERATED}/base/assets.bin
  COMMAND ${gen} assets ${GENERATED}/base ${CMAKE_SOURCE_DIR} ${asset_files}
  DEPENDS muster_gen ${asset_files} COMMENT "embedded files" VERBATIM)

# Asked of git at every build, compiled only when the answer is new.
add_custom_target(muster_version
  COMMAND ${CMAKE_COMMAND} -DGEN=$<TARGET_FILE:muster_gen> -DFOLDER=${GENERATED}/base -DROOT=${CMAKE_SOURCE_DIR} -DGIT=${GIT_EXECUTABLE}
          -DRELEASE=${PROJECT_VERSION} -P ${CMAKE_SOURCE_DIR}/server/tools/version.cmake
  BYPRODUCTS ${GENERATED}/base/version.h ${GENERATED}/base/version.c
  DEPENDS muster_gen VERBATIM)

add_custom_target(muster_generated DEPENDS ${GENERATED}/db/queries.h ${GENERATED}/db/migrations.h ${GENERATED}/base/words.h ${GENERATED}/base/assets.h)
add_dependencies(muster_generated muster_version)

# Every layer waits for the generated headers; base and db also get the generated sources.
function(generated_sources)
  get_property(layers GLOBAL PROPERTY MUSTER_LAYERS)
  foreach(target IN LISTS layers)
    add_dependencies(${target} muster_generated)
  endforeach()
  target_sources(mu_base PRIVATE ${GENERATED}/base/words.c ${GENERATED}/base/assets.c ${GENERATED}/base/assets.S ${GENERATED}/base/version.c)
  target_sources(mu_db PRIVATE ${GENERATED}/db/queries.c ${GENERATED}/db/migrations.c)
  # Whole SQL texts are longer than the 4,095 bytes a portable compiler must take; ours take them.
  set_source_files_properties(${GENERATED}/db/queries.c ${GENERATED}/db/migrations.c ${GENERATED}/base/words.c PROPERTIES COMPILE_OPTIONS -Wno-overlength-strings)
  set_source_files_properties(${GENERATED}/base/assets.S PROPERTIES OBJECT_DEPENDS ${GENERATED}/base/assets.bin)
endfunction()

# The project's own rules, looked at whenever a file they speak of changed. Findings stop the build with MUSTER_LINT=ON, the default where CI=true.
option(MUSTER_LINT "findings of server/tools/lint.sh stop the build" $ENV{CI})
file(GLOB_RECURSE lint_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/server/*.[ch] ${CMAKE_SOURCE_DIR}/server/*.def ${CMAKE_SOURCE_DIR}/sql/*.sql
  ${CMAKE_SOURCE_DIR}/tests/api/*.js)
add_custom_command(OUTPUT ${GENERATED}/lint
  COMMAND ${CMAKE_COMMAND} -E env MUSTER_LINT=$<BOOL:${MUSTER_LINT}> ${CMAKE_SOURCE_DIR}/server/tools/lint.sh --quiet
  COMMAND ${CMAKE_COMMAND} -E touch ${GENERATED}/lint
  DEPENDS ${lint_files} ${word_files} ${asset_files} ${CMAKE_SOURCE_DIR}/server/tools/lint.sh COMMENT "lint" VERBATIM)
add_custom_target(muster_lint ALL DEPENDS ${GENERATED}/lint)
