import { describe, expect, it } from 'vitest'
import { ResponseReader } from './response-reader.js'

const FIXED = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello'
const CHUNKED =
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nB;x=1\r\n\r\ndefghi\r\nj\r\n0\r\nt: v\r\n\r\n'
const EMPTY = 'HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n'

function read(parts: string[]) {
  const answers: { status: number; body: string; ended: boolean }[] = []
  const reader = new ResponseReader({
    head: (status) => answers.push({ status, body: '', ended: false }),
    body: (bytes, start, end) => {
      answers.at(-1)!.body += bytes.toString('utf8', start, end)
    },
    end: () => {
      answers.at(-1)!.ended = true
    },
  })
  for (const part of parts) reader.feed(Buffer.from(part))
  return answers
}

describe('ResponseReader', () => {
  const all = FIXED + CHUNKED + EMPTY + FIXED
  const expected = [
    { status: 200, body: 'hello', ended: true },
    { status: 200, body: 'abc\r\ndefghi\r\nj', ended: true },
    { status: 202, body: '', ended: true },
    { status: 200, body: 'hello', ended: true },
  ]

  it('reads answers that follow each other in one piece', () => {
    expect(read([all])).toEqual(expected)
  })

  it('reads the same answers cut at any two places', () => {
    for (let first = 0; first < all.length; first += 1) {
      for (let second = first; second < all.length; second += 7) {
        const parts = [all.slice(0, first), all.slice(first, second), all.slice(second)]
        expect(read(parts)).toEqual(expected)
      }
    }
  })

  it('reads the same answers byte by byte', () => {
    expect(read([...all])).toEqual(expected)
  })

  it('refuses an answer of unknown length', () => {
    expect(() => read(['HTTP/1.1 200 OK\r\n\r\n'])).toThrow('neither a length nor chunks')
  })
})
