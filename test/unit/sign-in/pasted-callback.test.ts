import { describe, expect, it } from 'vitest'
import { parsePasted } from '../../../src/sign-in/pasted-callback.js'

describe('parsePasted', () => {
  const waiting = { state: 'right', server: { issInResponses: false } }

  it.each([
    'http://127.0.0.1:28682/callback?code=abc&state=right',
    '  "http://127.0.0.1:1/callback?code=abc&state=right" \n',
  ])('[bridge-paste] takes the URL %j', (text) => {
    expect(parsePasted(text, waiting).get('code')).toBe('abc')
  })

  it('[bridge-paste] refuses a URL of another sign-in', () => {
    expect(() => parsePasted('http://127.0.0.1:1/callback?code=a&state=no', waiting)).toThrow(
      'belong',
    )
  })

  it.each([
    ['http://127.0.0.1:1/callback'],
    ['http://127.0.0.1:1/callback?code=abc'],
    ['http://127.0.0.1:1/callback?state=right'],
    ['https://login.example/oauth2/v1/authorize?state=other&client_id=x'],
  ])('[bridge-paste] says of %s that no answer is in it', (text) => {
    expect(() => parsePasted(text, waiting)).toThrow('no answer of a sign-in in it, or is cut off')
  })

  it('[bridge-paste] takes a code alone, unless the server says who answers', () => {
    expect(parsePasted('abcdefgh', waiting).get('state')).toBe('right')
    const strict = { state: 'right', server: { issInResponses: true } }
    expect(() => parsePasted('abcdefgh', strict)).toThrow('not the URL')
    expect(() => parsePasted('hello world!', waiting)).toThrow('not the URL')
  })
})
