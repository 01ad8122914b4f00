// Tiles: the registers of a matrix unit, eight of 16 rows of 16 words. The product of bf16 parts is
// written against this alone.
//
//   Tiles tiles;                 they are the caller's until its scope ends; then none is in use
//   tiles.zero<t>()
//   tiles.load<t>(p) store<t>(p)     256 contiguous words, on a cache line
//   tiles.dot<c, a, b>()         TDPBF16PS: with words of two bf16 values, and per element of c
//                                    low  = chain of fma(a's low half, b's low half) over 16 words
//                                    high = the same of the high halves, both from zero
//                                    c += low + high
//                                each rounded to nearest, denormal operands and results zeros
//
// kernels/tiles/amx.h is the hardware's; kernels/tiles/emulated.h does the same in f32x16, bit for
// bit, where denormals are flushed as x86 does it: AArch64 flushes before rounding, which may turn
// half a unit below the smallest normal number into zero there.
#pragma once

#include "kernels/simd.h"

#if defined(LAMINA_TILES_AMX)
#include "tiles/amx.h"
#else
#include "tiles/emulated.h"
#endif
