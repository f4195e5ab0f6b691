import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeadReader } from '../../../../src/upstream/http/http-client.js'
import { ResponseReader } from '../../../../src/upstream/http/response-reader.js'

const OK = 'HTTP/1.1 200 OK\r\n'

const LONG = 'x'.repeat(20_000)

/** What an answer comes to: what was refused, or its status and body, and what becomes of the connection. */
type Read =
  | { refused: string }
  | { status: number; body: string; end: 'reused' | 'closed' | 'cut off' }

/** Reads an answer that comes in pieces, each in the same bytes as the one before. */
function read(text: string, cuts: readonly number[] = [], heads = new HeadReader(false)): Read {
  const reader = new ResponseReader(heads)
  reader.reset()
  const all = Buffer.from(text, 'latin1')
  const shared = Buffer.alloc(all.length)
  const ends = [...new Set([...cuts.map((cut) => cut % (all.length + 1)), all.length])]
  let start = 0
  let status = 0
  let body = ''
  try {
    for (const end of ends.sort((a, b) => a - b)) {
      all.copy(shared, 0, start, end)
      if (end > start) reader.read(shared, end - start)
      start = end
      status = reader.head?.status ?? status
      body += reader.body?.toString('latin1') ?? ''
      shared.fill('!')
      if (reader.isComplete) {
        const isReused = reader.isReusable && end === all.length
        return { status, body, end: isReused ? 'reused' : 'closed' }
      }
    }
  } catch (error) {
    return { refused: (error as Error).message }
  }
  return { status, body, end: reader.end() ? 'closed' : 'cut off' }
}

const everyByte = (text: string) => Array.from(text, (_character, index) => index)

const chunked = (body: string) => `${OK}Transfer-Encoding: chunked\r\n\r\n${body}`

/** Answers that are taken. */
const TAKEN: readonly (readonly [
  what: string,
  answer: string,
  status: number,
  body: string,
  end: string,
])[] = [
  ['a length', `${OK}Content-Length: 2\r\n\r\nab`, 200, 'ab', 'reused'],
  ['a length of zero', `${OK}Content-Length: 0\r\n\r\n`, 200, '', 'reused'],
  ['blanks around a value', `${OK}Content-Length: \t 2 \r\n\r\nab`, 200, 'ab', 'reused'],
  ['no blank before a value', `${OK}content-length:2\r\n\r\nab`, 200, 'ab', 'reused'],
  ['no words for the status', 'HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na', 200, 'a', 'reused'],
  ['empty words', 'HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\na', 200, 'a', 'reused'],
  [
    'words in Latin-1',
    'HTTP/1.1 200 Gr\xfc\xdfe\r\nContent-Length: 1\r\n\r\na',
    200,
    'a',
    'reused',
  ],
  ['chunks', chunked('2\r\nab\r\n1\r\nc\r\n0\r\n\r\n'), 200, 'abc', 'reused'],
  [
    'chunks in capitals',
    `${OK}TRANSFER-ENCODING: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n`,
    200,
    '0123456789',
    'reused',
  ],
  ['a chunk extension', chunked('2;a=b;c="d"\r\nab\r\n0;e\r\n\r\n'), 200, 'ab', 'reused'],
  ['zeros before a size', chunked('0002\r\nab\r\n000\r\n\r\n'), 200, 'ab', 'reused'],
  ['trailers', chunked('1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n'), 200, 'a', 'reused'],
  ['no length', `${OK}\r\nall until the end`, 200, 'all until the end', 'closed'],
  ['no length and a close', `${OK}Connection: close\r\n\r\nab`, 200, 'ab', 'closed'],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nab', 200, 'ab', 'closed'],
  ['HTTP/1.0 with a length', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab', 200, 'ab', 'closed'],
  [
    'HTTP/1.0 that stays',
    'HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nab',
    200,
    'ab',
    'reused',
  ],
  [
    'a length and a close',
    `${OK}Connection: foo, Close\r\nContent-Length: 2\r\n\r\nab`,
    200,
    'ab',
    'closed',
  ],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n', 204, '', 'reused'],
  ['204 without length', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', 204, '', 'reused'],
  ['204 with a length', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', 204, '', 'closed'],
  [
    '204 with chunks',
    'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n',
    204,
    '',
    'closed',
  ],
  [
    '304 with a length',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
    304,
    '',
    'reused',
  ],
  [
    '100 before it',
    `HTTP/1.1 100 Continue\r\n\r\n${OK}Content-Length: 1\r\n\r\na`,
    200,
    'a',
    'reused',
  ],
  [
    '103 twice before it',
    `${'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(2)}${OK}Content-Length: 1\r\n\r\na`,
    200,
    'a',
    'reused',
  ],
  ['bytes behind a length', `${OK}Content-Length: 1\r\n\r\nab`, 200, 'a', 'closed'],
  [
    'another answer behind it',
    `${OK}Content-Length: 1\r\n\r\na${OK}Content-Length: 1\r\n\r\nb`,
    200,
    'a',
    'closed',
  ],
  ['bytes behind chunks', chunked('1\r\na\r\n0\r\n\r\n\r\n'), 200, 'a', 'closed'],
  ['bytes behind 204', 'HTTP/1.1 204 No Content\r\n\r\n!', 204, '', 'closed'],
  ['too few bytes', `${OK}Content-Length: 3\r\n\r\nab`, 200, 'ab', 'cut off'],
  ['chunks without their end', chunked('2\r\nab\r\n'), 200, 'ab', 'cut off'],
  ['half a head', 'HTTP/1.1 200 OK\r\nContent-Le', 0, '', 'cut off'],
  ['nothing but interim answers', 'HTTP/1.1 100 Continue\r\n\r\n', 0, '', 'cut off'],
  [
    'a head of 15 KB',
    `${OK}X: ${'x'.repeat(15_000)}\r\nContent-Length: 1\r\n\r\na`,
    200,
    'a',
    'reused',
  ],
]

const NO_NUMBER = /its length is no number/

const NO_FIELD = /a line of its head is no header field/

const CONTROL = /a control character|does not end in CR LF/

const NO_STATUS = /does not begin with a status line/

/** Answers that are refused, since somebody else might read them in another way. */
const REFUSED: readonly (readonly [what: string, answer: string, why: RegExp])[] = [
  [
    'a length and chunks',
    `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`,
    /both a length/,
  ],
  [
    'chunks and a length',
    `${OK}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\na\r\n0\r\n\r\n`,
    /both a length/,
  ],
  ['another coding', `${OK}Transfer-Encoding: gzip\r\n\r\n`, /not "chunked"/],
  ['a second coding', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, /not "chunked"/],
  ['chunked twice', `${OK}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`, /not "chunked"/],
  [
    'two lines of codings',
    `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    /two transfer codings/,
  ],
  ['an empty coding', `${OK}Transfer-Encoding:\r\n\r\nab`, /not "chunked"/],
  ['identity', `${OK}Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\na`, /both a length/],
  [
    'chunks under HTTP/1.0',
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    /under HTTP\/1\.0/,
  ],
  ['two different lengths', `${OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`, /two lengths/],
  ['two equal lengths', `${OK}Content-Length: 1\r\nContent-Length: 1\r\n\r\na`, /two lengths/],
  ['a list of lengths', `${OK}Content-Length: 1, 1\r\n\r\na`, NO_NUMBER],
  ['a plus', `${OK}Content-Length: +1\r\n\r\na`, NO_NUMBER],
  ['a minus', `${OK}Content-Length: -1\r\n\r\na`, NO_NUMBER],
  ['a hexadecimal length', `${OK}Content-Length: 0x1\r\n\r\na`, NO_NUMBER],
  ['an empty length', `${OK}Content-Length: \r\n\r\na`, NO_NUMBER],
  ['a length beyond all numbers', `${OK}Content-Length: 9007199254740993\r\n\r\na`, NO_NUMBER],
  ['a broken length of a 204', 'HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n', NO_NUMBER],
  ['a folded line', `${OK}X: a\r\n b\r\nContent-Length: 1\r\n\r\na`, NO_FIELD],
  ['a folded length', `${OK}Content-Length:\r\n 1\r\n\r\na`, NO_FIELD],
  ['a space before the colon', `${OK}Content-Length : 1\r\n\r\na`, NO_FIELD],
  ['a line without a colon', `${OK}Content-Length\r\n\r\na`, NO_FIELD],
  ['a line without a name', `${OK}: 1\r\n\r\na`, NO_FIELD],
  ['a name that is none', `${OK}Content(Length): 1\r\n\r\na`, NO_FIELD],
  ['a name beyond ASCII', `${OK}Cont\xe9nt: 1\r\n\r\na`, NO_FIELD],
  ['a bare line feed', `${OK}X: a\nContent-Length: 1\r\n\r\na`, CONTROL],
  ['line feeds alone', 'HTTP/1.1 200 OK\nContent-Length: 1\n\na', CONTROL],
  ['a bare carriage return', `${OK}X: a\rContent-Length: 1\r\n\r\na`, CONTROL],
  ['a doubled carriage return', `${OK}X: a\r\r\nContent-Length: 1\r\n\r\na`, CONTROL],
  ['NUL in a value', `${OK}X: a\0b\r\nContent-Length: 1\r\n\r\na`, CONTROL],
  ['NUL in a name', `${OK}X\0: a\r\nContent-Length: 1\r\n\r\na`, CONTROL],
  ['another control character', `${OK}X: a\x0bb\r\nContent-Length: 1\r\n\r\na`, CONTROL],
  ['DEL', `${OK}X: a\x7f\r\nContent-Length: 1\r\n\r\na`, CONTROL],
  ['an empty line first', `\r\n${OK}Content-Length: 1\r\n\r\na`, NO_STATUS],
  ['another protocol', 'SSH-2.0-nothing\r\n', NO_STATUS],
  ['a protocol of one letter', 'X', NO_STATUS],
  ['HTTP/0.9', '<html>', NO_STATUS],
  ['HTTP/2.0', 'HTTP/2.0 200 OK\r\n\r\n', NO_STATUS],
  ['HTTP/1.2', 'HTTP/1.2 200 OK\r\n\r\n', NO_STATUS],
  ['small letters', 'http/1.1 200 OK\r\n\r\n', NO_STATUS],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n', NO_STATUS],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n', NO_STATUS],
  ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n', NO_STATUS],
  ['two spaces before the status', 'HTTP/1.1  200 OK\r\n\r\n', NO_STATUS],
  [
    '101',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
    /another protocol/,
  ],
  ['interim answers without end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(20), /without end/],
  ['a head of 20 KB', `${OK}X: ${LONG}\r\nContent-Length: 1\r\n\r\na`, /headers are too large/],
  ['a head without end', `${OK}X: ${LONG}`, /headers are too large/],
  ['300 lines', `${OK}${'X: y\r\n'.repeat(300)}Content-Length: 1\r\n\r\na`, /too many lines/],
  ['HTTP/2', '\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80', /speaks HTTP\/2 only/],
  ['a chunk without a size', chunked('\r\nab\r\n0\r\n\r\n'), /has no size/],
  ['a size that is none', chunked('2g\r\nab\r\n0\r\n\r\n'), /is no number/],
  ['a size with a sign', chunked('+2\r\nab\r\n0\r\n\r\n'), /has no size/],
  ['a size with a prefix', chunked('0x2\r\nab\r\n0\r\n\r\n'), /is no number/],
  ['a space before a size', chunked(' 2\r\nab\r\n0\r\n\r\n'), /has no size/],
  ['a space behind a size', chunked('2 \r\nab\r\n0\r\n\r\n'), /is no number/],
  ['a size of many digits', chunked('fffffffffffffffff\r\nab'), /too large/],
  ['zeros without end', chunked('0'.repeat(50)), /too large/],
  ['a size that ends in LF', chunked('2\nab\r\n0\r\n\r\n'), /is no number/],
  ['a bare CR behind a size', chunked('2\rab\r\n0\r\n\r\n'), /does not end as it must/],
  ['a chunk longer than its size', chunked('2\r\nabc\r\n0\r\n\r\n'), /does not end as it must/],
  ['a chunk that ends in LF', chunked('2\r\nab\n0\r\n\r\n'), /does not end as it must/],
  ['an extension without end', chunked(`2;${LONG}`), /too long an extension/],
  ['an extension with a line feed', chunked('2;a\nb\r\nab\r\n0\r\n\r\n'), /broken extension/],
  ['an extension with NUL', chunked('2;a\0\r\nab\r\n0\r\n\r\n'), /broken extension/],
  ['a trailer that is none', chunked('1\r\na\r\n0\r\nX y\r\n\r\n'), /is no field/],
  ['a folded trailer', chunked('1\r\na\r\n0\r\nX: y\r\n z\r\n\r\n'), /is no field/],
  ['a bare line feed in a trailer', chunked('1\r\na\r\n0\r\nX: y\nZ: a\r\n\r\n'), /is no field/],
  [
    'trailers without end',
    chunked(`1\r\na\r\n0\r\n${'X: y\r\n'.repeat(5_000)}\r\n`),
    /too much stands behind/,
  ],
]

describe('ResponseReader', () => {
  it.each(TAKEN)('takes %s', (_what, answer, status, body, end) => {
    expect(read(answer)).toEqual({ status, body, end })
    const inBytes = read(answer, everyByte(answer))
    // what comes later than the end is seen when it comes
    const seen = end === 'closed' && body !== '' && !answer.endsWith(body) ? 'reused' : end
    if (seen === end) expect(inBytes).toEqual({ status, body, end })
    else expect(inBytes).toMatchObject({ status, body })
  })

  it.each(REFUSED)('refuses %s', (_what, answer, why) => {
    expect(read(answer)).toEqual({ refused: expect.stringMatching(why) })
    expect(read(answer, everyByte(answer))).toEqual({ refused: expect.anything() })
  })

  it('reads the same, however an answer is cut', () => {
    const answers = TAKEN.filter(([what]) => !/behind|another answer/.test(what))
    fc.assert(
      fc.property(
        fc.constantFrom(...answers.map(([, answer]) => answer)),
        fc.array(fc.nat(), { maxLength: 12 }),
        (answer, cuts) => {
          expect(read(answer, cuts)).toEqual(read(answer))
        },
      ),
    )
  })

  it('hands a burst of chunks on as one, wherever it is cut', () => {
    const parts = fc.array(fc.string({ minLength: 1, maxLength: 30 }), { maxLength: 20 })
    fc.assert(
      fc.property(parts, fc.array(fc.nat(), { maxLength: 12 }), (bodies, cuts) => {
        const bytes = bodies.map((body) => Buffer.from(body).toString('latin1'))
        const framed = bytes.map((body) => `${body.length.toString(16)}\r\n${body}\r\n`).join('')
        const answer = chunked(`${framed}0\r\n\r\n`)
        expect(read(answer, cuts)).toEqual({ status: 200, body: bytes.join(''), end: 'reused' })
      }),
    )
  })

  it('reads a head again that is only nearly the one before', () => {
    const heads = new HeadReader(false)
    const answer = (length: number, body: string) => `${OK}Content-Length: ${length}\r\n\r\n${body}`
    expect(read(answer(2, 'ab'), [], heads)).toMatchObject({ body: 'ab' })
    expect(read(answer(2, 'cd'), [], heads)).toMatchObject({ body: 'cd' })
    expect(read(answer(3, 'efg'), [], heads)).toMatchObject({ body: 'efg' })
    expect(read(answer(3, 'hij'), [5], heads)).toMatchObject({ body: 'hij' })
  })

  it('names no member of a prototype', () => {
    const reader = new ResponseReader(new HeadReader(true))
    reader.reset()
    const text = `${OK}__proto__: a\r\nconstructor: b\r\nX-Own: c\r\nContent-Length: 0\r\n\r\n`
    reader.read(Buffer.from(text), text.length)
    expect(Object.entries(reader.head?.fields ?? {})).toEqual([
      ['x-own', 'c'],
      ['content-length', '0'],
    ])
    expect(Object.getPrototypeOf(reader.head?.fields)).toBe(Object.prototype)
  })
})

/** Reads an answer as Node's own parser does; `undefined` when it refuses it. */
function readByNode(text: string): Promise<Read | undefined> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read() {},
      write(_chunk, _encoding, done) {
        done()
        setImmediate(() => {
          wire.push(Buffer.from(text, 'latin1'))
          wire.push(null)
        })
      },
    })
    const agent = Object.assign(new Agent(), { createConnection: () => wire as Socket })
    const sent: ClientRequest = httpRequest({ agent }, (response: IncomingMessage) => {
      let body = ''
      response.setEncoding('latin1')
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('error', () => {})
      response.on('close', () => {
        const status = response.statusCode ?? 0
        resolve(response.complete ? { status, body, end: 'closed' } : undefined)
      })
    })
    sent.on('error', () => resolve(undefined))
    sent.on('upgrade', () => resolve(undefined))
    sent.end()
  })
}

/** Pieces of answers, good and bad, that are put together by chance. */
const PIECES = [
  ...['HTTP/1.1 200 OK\r\n', 'HTTP/1.0 200 OK\r\n', 'HTTP/1.1 204 No Content\r\n'],
  ...['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 304 Not Modified\r\n', '\r\n', '\r\n\r\n', '\n'],
  ...['Content-Length: 3\r\n', 'Content-Length: 0\r\n', 'Content-Length: 03\r\n'],
  ...['Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: gzip\r\n', 'Connection: close\r\n'],
  ...['Connection: keep-alive\r\n', 'X: y\r\n', 'X : y\r\n', ' folded\r\n', 'X: \0\r\n', '\r'],
  ...['abc', '3\r\nabc\r\n', '0\r\n\r\n', '0\r\nX: y\r\n\r\n', '3;a=b\r\nabc\r\n', '3 \r\nabc\r\n'],
] as const

describe('ResponseReader beside the parser of Node', () => {
  it('means the same where both take an answer', async () => {
    let both = 0
    const begin = fc.constantFrom(...PIECES.slice(0, 5))
    const rest = fc.array(fc.constantFrom(...PIECES), { maxLength: 7 })
    const answers = fc.tuple(begin, rest).map(([first, others]) => first + others.join(''))
    const heads = fc
      .tuple(
        fc.constantFrom(...PIECES.slice(0, 5)),
        fc.array(fc.constantFrom(...PIECES.slice(8, 16))),
      )
      .chain(([line, fields]) =>
        fc
          .array(fc.constantFrom(...PIECES.slice(20)), { maxLength: 3 })
          .map((body) => `${line}${fields.join('')}\r\n${body.join('')}`),
      )
    await fc.assert(
      fc.asyncProperty(fc.oneof(answers, heads), async (answer) => {
        const ours = read(answer)
        if ('refused' in ours || ours.end === 'cut off') return
        const theirs = await readByNode(answer)
        if (theirs === undefined) return
        both += 1
        expect({ ...theirs, end: ours.end }).toEqual(ours)
      }),
      { numRuns: 1_500 },
    )
    expect(both).toBeGreaterThan(50)
  })
})
