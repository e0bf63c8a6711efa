/* A clock that lies, preloaded into a process: the wall clock is off by the seconds that stand in the
 * file $CLOCK_OFFSET_FILE, read at each call; the kernel calls itself synchronised while the file
 * $CLOCK_OFFSET_FILE.synced is there. Time since boot is left alone. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static long off(void) {
    char text[32] = {0};
    const char *path = getenv("CLOCK_OFFSET_FILE");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) return 0;
    if (!fgets(text, sizeof text, file)) text[0] = 0;
    fclose(file);
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    int code = syscall(SYS_clock_gettime, clock, t);
    if (!code && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) t->tv_sec += off();
    return code;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}

int adjtimex(struct timex *t) {
    char path[512] = {0};
    const char *base = getenv("CLOCK_OFFSET_FILE");
    snprintf(path, sizeof path, "%s.synced", base ? base : "");
    t->status = access(path, F_OK) ? STA_UNSYNC : 0;
    return access(path, F_OK) ? TIME_ERROR : TIME_OK;
}
