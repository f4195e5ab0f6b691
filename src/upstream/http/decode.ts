import { createRequire } from 'node:module'
import type { Transform } from 'node:stream'
import { UpstreamError } from '../upstream-error.js'

/** Gets the decompressed bytes. */
export interface DecoderEvents {
  /** Decompressed bytes; nothing comes any more while the decoder is paused. */
  onData(chunk: Buffer): void
  onEnd(): void
  onError(error: Error): void
  /** It takes compressed bytes again after `write` returned false. */
  onDrain(): void
}

/** Decompresses piece by piece: what comes out is never held beyond a few blocks. */
export interface Decoder {
  /** Returns false when no more shall be written for now. */
  write(chunk: Buffer): boolean
  end(): void
  pause(): void
  resume(): void
  /** Stops at once; no event follows. */
  destroy(): void
}

/** As many as the `fetch` of the SDKs takes. */
const MAX_CODINGS = 3

const MAX_SHOWN = 40

/** The low bits of a zlib stream's first byte; a bare deflate stream has others. */
const ZLIB_METHOD = 0x08

/** Loads zlib only when an answer is compressed, which we never request. */
const load = createRequire(import.meta.url)

/** Lists the codings of a `Content-Encoding`, without `identity`. */
export function codingsOf(encoding: string): string[] {
  const codings = encoding.split(',').map((coding) => coding.trim().toLowerCase())
  return codings.filter((coding) => coding !== '' && coding !== 'identity')
}

/**
 * Creates what undoes gzip, deflate or br, or several of them.
 *
 * @returns `undefined` when one of them is something else.
 */
export function createDecoder(
  encoding: string,
  { onData, onEnd, onError, onDrain }: DecoderEvents,
): Decoder | undefined {
  const codings = codingsOf(encoding)
  if (codings.length > MAX_CODINGS || !codings.every((coding) => KNOWN.has(coding))) {
    return undefined
  }
  let chain: Transform[] = []
  let isPaused = false

  const fail = () => {
    const said = JSON.stringify(encoding.slice(0, MAX_SHOWN))
    const reason = `its answer cannot be decompressed, though it says ${said}`
    onError(new UpstreamError('invalid_answer', reason))
  }
  const open = (firstByte: number) => {
    // what was applied last comes off first
    chain = codings
      .toReversed()
      .map((coding, index) => createPart(coding, index === 0 && firstByte))
    for (const [index, part] of chain.entries()) {
      part.on('error', fail)
      const next = chain[index + 1]
      if (next !== undefined) part.pipe(next)
    }
    chain[0]?.on('drain', onDrain)
    const last = chain.at(-1)
    last?.on('data', onData)
    last?.on('end', onEnd)
    if (isPaused) last?.pause()
  }
  return {
    write(chunk) {
      if (chain.length === 0) open(chunk[0] ?? 0)
      return (chain[0] as Transform).write(chunk)
    },
    end() {
      const [first] = chain
      if (first === undefined) onEnd()
      else first.end()
    },
    pause() {
      isPaused = true
      chain.at(-1)?.pause()
    },
    resume() {
      isPaused = false
      chain.at(-1)?.resume()
    },
    destroy() {
      for (const part of chain) {
        part.removeAllListeners()
        // errors of an aborted decompression do not matter
        part.on('error', () => {})
        part.destroy()
      }
    },
  }
}

const KNOWN: ReadonlySet<string> = new Set(['gzip', 'x-gzip', 'deflate', 'br'])

/** @param firstByte Of the compressed bytes, where it is known. */
function createPart(coding: string, firstByte: number | false): Transform {
  const zlib: typeof import('node:zlib') = load('node:zlib')
  const { constants } = zlib
  // a stream that ends early gives what it has, as it does in browsers
  const lenient = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH }
  if (coding === 'br') {
    const flush = constants.BROTLI_OPERATION_FLUSH
    return zlib.createBrotliDecompress({ flush, finishFlush: flush })
  }
  if (coding !== 'deflate') return zlib.createGunzip(lenient)
  const isBare = firstByte !== false && (firstByte & 0x0f) !== ZLIB_METHOD
  return isBare ? zlib.createInflateRaw(lenient) : zlib.createInflate(lenient)
}
