import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseChallenges, readBearerChallenge } from '../../src/auth/oauth/parse-challenge.js'
import { parseDocument } from '../../src/config/file.js'
import { redactText } from '../../src/hosts/diff.js'
import { LineSplitter } from '../../src/mcp/lines.js'
import { createCookieJar } from '../../src/upstream/http/cookie-jar.js'
import { createRedactor, printable } from '../../src/util/redact.js'
import { growthOf } from '../helpers/patterns/growth.js'

const text = (...words: string[]) =>
  fc
    .array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 6 })), { maxLength: 30 })
    .map((parts) => parts.join(''))

const runs = { numRuns: 500 }

describe('text from outside', () => {
  it('that should be a challenge is read, or is none', () => {
    const challenge = text(
      'Bearer ',
      'realm=',
      '"',
      '\\',
      ',',
      ' ',
      '=',
      'scope="a b"',
      'DPoP ',
      'x',
    )
    fc.assert(
      fc.property(challenge, (header) => {
        for (const { scheme, parameters } of parseChallenges(header)) {
          expect(scheme).toBe(scheme.toLowerCase())
          expect(Object.getPrototypeOf(parameters)).toBeNull()
        }
        readBearerChallenge(header)
      }),
      runs,
    )
  })

  it('that should be a configuration is read, or one sentence says why not', () => {
    const document = text(
      '{',
      '}',
      '"',
      ':',
      ',',
      '[',
      ']',
      '\n',
      ' ',
      '- ',
      '&a ',
      '*a',
      '//',
      '/*',
    )
    fc.assert(
      fc.property(document, fc.constantFrom('x.json', 'x.yaml', 'x'), (content, name) => {
        const found = parseDocument(name, content)
        if (typeof found === 'string') expect(found.split('\n')).toHaveLength(1)
        else expect(typeof found.content).toBe('object')
      }),
      runs,
    )
  })

  it('that stands in a host file shows no value behind a name of a secret', () => {
    const value = fc.string({ unit: fc.constantFrom(...'QZ\\\\/$ {}'), minLength: 1 })
    fc.assert(
      fc.property(value, fc.constantFrom('"', "'"), (secret, quote) => {
        const written = quote === '"' ? JSON.stringify(`QQ${secret}`) : `'QQ${secret}'`
        const shown = redactText(`[mcp_servers.other.env]\n"API_KEY" = ${written}\n`, 'toml')
        expect(shown).not.toContain('QQ')
      }),
      runs,
    )
  })

  it('comes in lines, however it is cut on the way', () => {
    const lines = fc.array(
      fc.string({ unit: 'grapheme' }).map((line) => line.replace(/[\r\n]/g, '')),
    )
    fc.assert(
      fc.property(lines, fc.integer({ min: 1, max: 7 }), (sent, size) => {
        const seen: string[] = []
        const splitter = new LineSplitter(
          (line) => void seen.push(line.toString()),
          () => undefined,
        )
        const bytes = Buffer.from(sent.map((line) => `${line}\n`).join(''))
        for (let at = 0; at < bytes.length; at += size) splitter.push(bytes.subarray(at, at + size))
        expect(seen.filter((line) => line.trim() !== '')).toEqual(
          sent.filter((line) => line.trim() !== ''),
        )
      }),
      runs,
    )
  })

  it.each<[string, (hostile: string) => unknown]>([
    ['a challenge', parseChallenges],
    ['JSON of a configuration', (hostile) => parseDocument('x.json', hostile)],
    ['a line of a host file', (hostile) => redactText(`${hostile}\n${hostile}`, 'json')],
    ['a cookie', (hostile) => createCookieJar({ now: () => 0 }).keep(hostile)],
    ['a line of a log', (hostile) => printable(createRedactor(['secret'])(hostile))],
  ])('takes linear time, as %s of 100 KB', (_title, read) => {
    for (const repeated of [
      ...[
        'eyJ-',
        '\\',
        '\\"',
        '"',
        ' ',
        '\t',
        ',',
        '=',
        'a=',
        'a="',
        '{',
        '[',
        '{"a":',
        '/*',
        '//',
      ],
      ...[
        'bearer ',
        'http://',
        '?',
        '--',
        '--token=',
        'a',
        'a.',
        '-',
        '<title',
        "'",
        ';',
        '\u0000',
      ],
    ]) {
      const write = (length: number) => `${repeated.repeat(length / repeated.length)}\u0000`
      expect(growthOf(write, read), JSON.stringify(repeated)).toBeLessThan(3)
    }
  })
})
