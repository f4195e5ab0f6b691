import { describe, expect, it } from 'vitest'
import { LineSplitter } from '../../../src/mcp/lines.js'

describe('LineSplitter', () => {
  const split = (chunks: string[], maxBytes?: number) => {
    const lines: string[] = []
    const splitter = new LineSplitter(
      (line) => lines.push(String(line)),
      () => lines.push('too long'),
      maxBytes,
    )
    for (const chunk of chunks) splitter.push(Buffer.from(chunk))
    splitter.end()
    return lines
  }

  it('gives the same lines however the bytes come', () => {
    const text = '{"a":1}\n\n{"ä":"ö"}\r\n{"c":3}'
    const expected = ['{"a":1}', '{"ä":"ö"}', '{"c":3}']
    expect(split([text])).toEqual(expected)
    const lines: string[] = []
    const splitter = new LineSplitter(
      (line) => lines.push(String(line)),
      () => {},
    )
    for (const byte of Buffer.from(text)) splitter.push(Buffer.from([byte]))
    splitter.end()
    expect(lines).toEqual(expected)
  })

  it('drops a line that is too long, and goes on behind it', () => {
    expect(split(['12345', '6789', '0\nshort\n'], 6)).toEqual(['too long', 'short'])
  })
})
