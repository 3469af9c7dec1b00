# What the built program says of itself: manual pages, and completion for
# shells. CMakeLists.txt includes this; the build runs it with PROGRAM and TO.
if(PROGRAM)
  file(MAKE_DIRECTORY ${TO}/man)
  execute_process(COMMAND ${PROGRAM} man --output ${TO}/man
    COMMAND_ERROR_IS_FATAL ANY)
  foreach(shell bash fish zsh)
    execute_process(COMMAND ${PROGRAM} completion ${shell}
      OUTPUT_FILE ${TO}/moonpipe.${shell} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  file(TOUCH ${TO}/made)
  return()
endif()

set(pages ${CMAKE_BINARY_DIR}/pages)
add_custom_command(OUTPUT ${pages}/made
  COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:moonpipe_bin> -DTO=${pages}
          -P ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS moonpipe_bin ${CMAKE_CURRENT_LIST_FILE}
  VERBATIM)
add_custom_target(moonpipe_pages ALL DEPENDS ${pages}/made)
install(DIRECTORY ${pages}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
set(share ${CMAKE_INSTALL_DATADIR})
install(FILES ${pages}/moonpipe.bash RENAME moonpipe
  DESTINATION ${share}/bash-completion/completions)
install(FILES ${pages}/moonpipe.zsh RENAME _moonpipe
  DESTINATION ${share}/zsh/site-functions)
install(FILES ${pages}/moonpipe.fish
  DESTINATION ${share}/fish/vendor_completions.d)
