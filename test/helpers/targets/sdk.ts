/** Real servers of both SDK generations, for tests from end to end. */
export {
  type SdkV1Options,
  startSdkV1Target,
} from './sdk-v1.js'
export {
  type SdkV2Options,
  startSdkV2Target,
} from './sdk-v2.js'
