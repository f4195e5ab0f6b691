import { describe, expect, it } from 'vitest'
import { describeCertificate } from '../../../../src/diagnose/checks/reach.js'

describe('describeCertificate', () => {
  const day = 86_400_000
  const judge = (left: number, life: number) => {
    const dates = { valid_from: left - life, valid_to: left }
    const [from, to] = [dates.valid_from, dates.valid_to].map((days) =>
      new Date(days * day).toUTCString(),
    )
    const certificate = { valid_from: from, valid_to: to } as never
    return describeCertificate({ kind: 'open', protocol: 'TLSv1.3', certificate }, 0)
  }

  it.each([
    [61, 90, 'pass', 'TLS 1.3, 61 days left'],
    [14, 90, 'pass', 'TLS 1.3, 14 days left'],
    [13, 90, 'warn', 'TLS 1.3, 13 days left'],
    [1, 90, 'warn', 'TLS 1.3, 1 day left'],
    // renewed late on purpose
    [3, 6, 'pass', 'TLS 1.3, 3 days left of 6'],
    [0, 6, 'warn', 'TLS 1.3, 0 days left'],
  ])('of %i days left of %i is %s', (left, life, outcome, detail) => {
    expect(judge(left, life)).toMatchObject({ outcome, detail })
  })
})
