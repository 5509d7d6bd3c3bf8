// calls: system calls that pass a filter of connect(2) by.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
	char parameters[256] = {0};
	printf("io_uring_setup: %s\n", syscall(SYS_io_uring_setup, 4, parameters) < 0 ? strerrorname_np(errno) : "made");
#ifdef __x86_64__
	/* connect(2) as 32-bit programs call it: number 362, by interrupt 0x80. */
	struct sockaddr_in *a = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	a->sin_family = AF_INET;
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(362L), "b"(-1L), "c"(a), "d"((long)sizeof *a) : "r8", "r9", "r10", "r11", "memory");
	printf("32-bit connect: %s\n", strerrorname_np(-(int)r));
#endif
	return 0;
}
