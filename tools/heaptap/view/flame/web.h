// The flame graph's page as the build made it from web/; empty where heaptap was built without npm.
#ifndef HT_VIEW_FLAME_WEB_H
#define HT_VIEW_FLAME_WEB_H

// Both are written by the build (web/build.cmake); exactly one of them is "".
extern const char ht_flame_web_page[];    // HTML with the two marks below, each once
extern const char ht_flame_web_missing[]; // why there is no page, for a sentence: "npm was not found"

#define HT_FLAME_WEB_TITLE "@HEAPTAP_TITLE@"
#define HT_FLAME_WEB_DATA  "@HEAPTAP_DATA@"

#endif
