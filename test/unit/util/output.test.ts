import { describe, expect, it } from 'vitest'
import { createOutput } from '../../../src/util/output.js'

function createStream() {
  const writes: string[] = []
  let onError: (error: NodeJS.ErrnoException) => void = () => undefined
  return {
    writes,
    break: () => onError(Object.assign(new Error('EPIPE'), { code: 'EPIPE' })),
    write(text: string, done?: () => void) {
      if (text !== '') writes.push(text)
      done?.()
      return true
    },
    on(_event: 'error', listener: (error: NodeJS.ErrnoException) => void) {
      onError = listener
    },
  }
}

describe('createOutput', () => {
  it('hands over everything of a turn in one write', () => {
    const stream = createStream()
    const turns: (() => void)[] = []
    const output = createOutput(stream, (write) => turns.push(write))
    output.write('a\n')
    output.write('b\n')
    expect(stream.writes).toEqual([])
    for (const turn of turns.splice(0)) turn()
    output.write('c\n')
    for (const turn of turns.splice(0)) turn()
    expect(stream.writes).toEqual(['a\nb\n', 'c\n'])
  })

  it('hands over what waits when it is flushed', async () => {
    const stream = createStream()
    const output = createOutput(stream, () => undefined)
    output.write('a')
    await output.flush()
    output.write('b')
    output.flushNow()
    output.flushNow()
    expect(stream.writes).toEqual(['a', 'b'])
  })

  it('drops text once the reader is gone, and tells so once', async () => {
    const stream = createStream()
    let closed = 0
    const output = createOutput(
      stream,
      (write) => write(),
      () => {
        closed++
      },
    )
    output.write('a')
    stream.break()
    stream.break()
    output.write('b')
    await output.flush()
    expect({ writes: stream.writes, closed }).toEqual({ writes: ['a'], closed: 1 })
  })
})
