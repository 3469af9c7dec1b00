# libFuzzer's targets: included by the CMakeLists.txt above.
file(GLOB fuzzers CONFIGURE_DEPENDS spec/fuzz/fuzz_*.c)
foreach(source ${fuzzers})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_include_directories(${name} PRIVATE engine/base engine/pipe
    engine/thread engine/work)
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name} PRIVATE moonpipe_core m)
endforeach()
