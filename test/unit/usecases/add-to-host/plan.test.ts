import { describe, expect, it } from 'vitest'
import { secretParameter } from '../../../../src/usecases/add-to-host/plan.js'

describe('secretParameter', () => {
  it.each([
    ['https://a/mcp?api_key=1', 'api_key'],
    ['https://a/mcp?a=1&access_token=2', 'access_token'],
    ['https://a/mcp?tenant=1', undefined],
    ['acme', undefined],
  ])('finds in %s: %s', (url, found) => {
    expect(secretParameter(url)).toBe(found)
  })
})
