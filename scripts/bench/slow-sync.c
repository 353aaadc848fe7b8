/* Runs a program whose every fsync and fdatasync takes a given time longer: slow-sync <microseconds> <program> ...
 *
 * It works below any C library, so that programs in Go are slowed as well: a seccomp filter hands these two calls to
 * this process, which sleeps and then lets the kernel go on with them. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WAITERS = 16 };

static int listener;
static long delay;
static pid_t child;

/* One call at a time; there are as many of these as calls that may sleep at once. */
static void *wait_for_calls(void *unused) {
	(void)unused;
	for (;;) {
		struct seccomp_notif call;
		struct seccomp_notif_resp answer;
		memset(&call, 0, sizeof call);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
			if (errno == EINTR || errno == ENOENT) continue;
			return NULL;
		}
		struct timespec pause = {delay / 1000000, (delay % 1000000) * 1000};
		nanosleep(&pause, NULL);
		memset(&answer, 0, sizeof answer);
		answer.id = call.id;
		answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

static void pass_on(int number) { if (child > 0) kill(child, number); }

int main(int count, char **arguments) {
	if (count < 3 || (delay = atol(arguments[1])) <= 0) {
		fprintf(stderr, "slow-sync <microseconds> <program> [arguments]\n");
		return 2;
	}
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fsync, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fdatasync, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
	/* The filter is this process's too, which makes neither call. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    (listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program)) < 0) {
		perror("slow-sync: the system calls cannot be caught");
		return 1;
	}
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(arguments[2], arguments + 2);
		perror(arguments[2]);
		_exit(127);
	}
	signal(SIGTERM, pass_on);
	signal(SIGINT, pass_on);
	for (int at = 0; at < WAITERS; at++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, wait_for_calls, NULL) != 0) return 1;
	}
	int status;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
