#include "textflag.h"

// The functions that take the place of the kernel's in a program's vDSO, and the one
// that a program runs before its first instruction to attach the clock page. They are
// copied there, so they lead nowhere but to themselves, and they put nothing on the
// stack, so that unwinders need no rules for them. The page's address and the secret
// are filled in: see vdsopatch_linux.go.
//
// System V ABI: arguments are in DI and SI, the result is in AX, and CX, DX, SI, DI and R8 to
// R11 may be changed. A system call changes AX, CX and R11.

#define PAGE   $0x5041474550414745
#define SECRET $0x5345435245545345
#define END    QUAD $0x444e45444e45444e

// Offsets in clockPage, and behind it in the page of the program's own.
#define VERSION 0
#define MODE    8
#define LAB     16
#define MONO    24
#define MULT    32
#define SHIFT   40
#define LEAST   48
#define SHIFTED 56
#define AHEAD   64
#define READS   4096

#define STANDS $1
#define RUNS   $2

#define SYS_mmap          $9
#define SYS_shmat         $30
#define SYS_gettimeofday  $96
#define SYS_time          $201
#define SYS_clock_gettime $228

// KERNELTIME writes the kernel's CLOCK_MONOTONIC to where SI points. The filter lets a call
// with the secret pass; the secret must not stay in its register, since whoever makes
// a system call with two arguments leaves the others as they are. Changes DI.
#define KERNELTIME \
	MOVL $1, DI; \
	MOVQ SECRET, R9; \
	MOVL SYS_clock_gettime, AX; \
	SYSCALL; \
	XORL R9, R9

// LABTIME makes lab time, in AX, of what KERNELTIME wrote. Changes CX and DX.
#define LABTIME \
	IMUL3Q  $1000000000, 0(SI), AX; \
	ADDQ    8(SI), AX; \
	XORL    CX, CX; \
	SUBQ    MONO(R8), AX; \
	CMOVQLT CX, AX; \
	MULQ    MULT(R8); \
	MOVQ    SHIFT(R8), CX; \
	SHRQ    CX, DX, AX; \
	ADDQ    LAB(R8), AX; \
	CMPQ    AX, LEAST(R8); \
	CMOVQLT LEAST(R8), AX

// SPLIT divides the nanoseconds in AX into seconds, in DX, and the rest, in CX. 2⁹⁰/10⁹ is
// exact enough for 63 bits. Changes AX.
#define SPLIT \
	MOVQ   AX, CX; \
	MOVQ   $0x112e0be826d694b3, DX; \
	MULQ   DX; \
	SHRQ   $26, DX; \
	IMUL3Q $1000000000, DX, AX; \
	SUBQ   AX, CX

// int clock_gettime(clockid_t clock, struct timespec *to)
TEXT ·vdsoClockGettime(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ  PAGE, R8
	TESTQ R8, R8
	JEQ   ask
	CMPL  DI, $11
	JHI   ask
	MOVL  DI, DI

again:
	MOVQ  VERSION(R8), R10
	TESTL $1, R10
	JNE   ask
	MOVQ  SHIFTED(R8), AX
	BTQ   DI, AX
	JCC   ask
	MOVQ  LAB(R8), AX
	CMPQ  MODE(R8), STANDS
	JNE   runs
	INCQ  READS(R8)

show:
	ADDQ AHEAD(R8)(DI*8), AX
	CMPQ VERSION(R8), R10
	JNE  again
	SPLIT
	MOVQ DX, 0(SI)
	MOVQ CX, 8(SI)
	XORL AX, AX
	RET

runs:
	CMPQ  MODE(R8), RUNS
	JNE   ask
	MOVQ  DI, DX
	KERNELTIME
	MOVQ  DX, DI
	TESTQ AX, AX
	JNE   failed
	LABTIME
	JMP   show

ask:
	XORL R9, R9
	MOVL SYS_clock_gettime, AX
	SYSCALL

failed:
	RET
	END

// int gettimeofday(struct timeval *to, struct timezone *zone)
TEXT ·vdsoGettimeofday(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ  PAGE, R8
	TESTQ R8, R8
	JEQ   ask

again:
	MOVQ  VERSION(R8), R10
	TESTL $1, R10
	JNE   ask
	TESTQ DI, DI
	JEQ   zone
	MOVQ  LAB(R8), AX
	CMPQ  MODE(R8), STANDS
	JNE   runs
	INCQ  READS(R8)

show:
	ADDQ AHEAD(R8), AX
	CMPQ VERSION(R8), R10
	JNE  again
	SPLIT
	MOVQ DX, 0(DI)
	MOVQ CX, AX
	MOVL $274877907, DX // 2³⁸/1000, exact enough for 30 bits
	MULQ DX
	SHRQ $38, AX
	MOVQ AX, 8(DI)

zone:
	TESTQ SI, SI
	JEQ   done
	MOVQ  $0, 0(SI) // UTC, as the kernel has it

done:
	XORL AX, AX
	RET

runs:
	CMPQ  MODE(R8), RUNS
	JNE   ask
	MOVQ  SI, DX
	MOVQ  DI, SI
	KERNELTIME
	MOVQ  SI, DI
	MOVQ  DX, R9
	TESTQ AX, AX
	JNE   failed
	LABTIME
	MOVQ  R9, SI
	JMP   show

ask:
	XORL R9, R9
	MOVL SYS_gettimeofday, AX
	SYSCALL

failed:
	RET
	END

// time_t time(time_t *to)
TEXT ·vdsoTime(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ  PAGE, R8
	TESTQ R8, R8
	JEQ   ask

again:
	MOVQ  VERSION(R8), R10
	TESTL $1, R10
	JNE   ask
	MOVQ  LAB(R8), AX
	CMPQ  MODE(R8), STANDS
	JNE   runs
	INCQ  READS(R8)

show:
	ADDQ AHEAD(R8), AX
	CMPQ VERSION(R8), R10
	JNE  again
	SPLIT
	MOVQ DX, AX
	TESTQ DI, DI
	JEQ  done
	MOVQ AX, 0(DI)

done:
	RET

runs:
	CMPQ  MODE(R8), RUNS
	JNE   ask
	MOVQ  DI, DX
	LEAQ  -16(SP), SI // in the red zone
	KERNELTIME
	MOVQ  DX, DI
	TESTQ AX, AX
	JNE   ask
	LABTIME
	JMP   show

ask:
	XORL R9, R9
	MOVL SYS_time, AX
	SYSCALL
	RET
	END

// It maps two pages, attaches the clock page, with the number in R12, in the place of the
// first, and tells the tracer where, or the error, in a call with the secret, in R13. The
// second page counts reads. The tracer has the program begin then, so there is no way back.
TEXT ·vdsoAttach(SB), NOSPLIT|NOFRAME, $0-0
	XORL  DI, DI
	MOVL  $0x2000, SI
	MOVL  $3, DX         // PROT_READ|PROT_WRITE
	MOVL  $0x22, R10     // MAP_PRIVATE|MAP_ANONYMOUS
	MOVQ  $-1, R8
	XORL  R9, R9
	MOVL  SYS_mmap, AX
	SYSCALL
	TESTQ AX, AX
	JLT   tell
	MOVQ  AX, SI
	MOVQ  R12, DI
	MOVL  $0x5000, DX    // SHM_RDONLY|SHM_REMAP
	MOVL  SYS_shmat, AX
	SYSCALL

tell:
	MOVQ AX, SI
	MOVL $0x7769656d, DI // attachClock
	MOVQ R13, R9
	MOVL SYS_clock_gettime, AX
	SYSCALL
	INT  $3
	END

// func vdsoCode() (clockGettime, gettimeofday, wallTime, attach unsafe.Pointer)
TEXT ·vdsoCode(SB), NOSPLIT, $0-32
	LEAQ ·vdsoClockGettime(SB), AX
	MOVQ AX, clockGettime+0(FP)
	LEAQ ·vdsoGettimeofday(SB), AX
	MOVQ AX, gettimeofday+8(FP)
	LEAQ ·vdsoTime(SB), AX
	MOVQ AX, wallTime+16(FP)
	LEAQ ·vdsoAttach(SB), AX
	MOVQ AX, attach+24(FP)
	RET
