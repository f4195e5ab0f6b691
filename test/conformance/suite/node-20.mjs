/**
 * Lets the suite start on Node 20: one of its commands, which is not used here, imports
 * `fs.globSync`, which came with Node 22.
 */
import * as fs from 'node:fs'
import { register } from 'node:module'

const toModule = (text) => `data:text/javascript,${encodeURIComponent(text)}`

const widerFs = toModule(`
  export * from 'node:fs'
  export { default } from 'node:fs'
  export const globSync = () => { throw new Error('fs.globSync needs Node 22') }
`)

const hooks = toModule(`
  export const resolve = (specifier, context, next) =>
    specifier === 'fs' && context.parentURL?.endsWith('/conformance/dist/index.js')
      ? { url: ${JSON.stringify(widerFs)}, shortCircuit: true }
      : next(specifier, context)
`)

if (!('globSync' in fs)) register(hooks)
