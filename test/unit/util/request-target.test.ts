import { expect, it } from 'vitest'
import { parseRequestTarget } from '../../../src/util/url-text.js'

it.each([
  ['/', '/', ''],
  ['//', '//', ''],
  ['//evil.example/callback?a=1', '//evil.example/callback', 'a=1'],
  ['/callback?state=a&code=b', '/callback', 'state=a&code=b'],
  ['/callback?a=1#b', '/callback', 'a=1'],
  ['http://127.0.0.1:1/callback?a=1', '/callback', 'a=1'],
  ['http://[', '/', ''],
  ['http://?a=1', '/', 'a=1'],
  ['/%', '/%', ''],
  ['/?%zz=%', '/', '%25zz=%25'],
  ['/a/../b', '/a/../b', ''],
])('the request target %j has the path %j and the query %j', (target, path, query) => {
  const found = parseRequestTarget(target)
  expect(found?.path).toBe(path)
  expect(found?.query.toString()).toBe(query)
})

it.each([undefined, '', '*', 'example.com:443', 'ftp://a/b', 'x', `/${'a'.repeat(20_000)}`])(
  'the request target %j is none',
  (target) => expect(parseRequestTarget(target)).toBeUndefined(),
)
