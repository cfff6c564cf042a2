//! The configuration of the viewer: one data source on this origin, nothing that loads from elsewhere.

/// `app-config.js`.
///
/// Data sources that take an address from the page's own URL (`dicomjson`, `dicomwebproxy`) are not among the sources,
/// so no link can make the viewer of a signed-in person talk to another host.
pub(super) const SCRIPT: &str = r#"window.config = {
  routerBasename: '/viewer',
  showStudyList: true,
  extensions: [],
  modes: [],
  customizationService: [{ 'ohif.tours': { $set: [] } }],
  whiteLabeling: {
    createLogoComponentFn: function (React) {
      return React.createElement(
        'a',
        {
          href: '/',
          title: 'Back to the studies',
          className: 'text-primary flex items-center gap-2 px-2 text-lg font-bold',
          onClick: function (event) {
            event.stopPropagation();
          },
        },
        React.createElement('img', { src: '/assets/kluis.svg', alt: '', width: 24, height: 24 }),
        'Kluis'
      );
    },
  },
  maxNumberOfWebWorkers: 4,
  maxNumRequests: { interaction: 100, thumbnail: 25, prefetch: 25 },
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  showErrorDetails: 'production',
  strictZSpacingForVolumeViewport: true,
  groupEnabledModesFirst: true,
  allowMultiSelectExport: false,
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'kluis',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'kluis',
      configuration: {
        friendlyName: 'Kluis',
        name: 'kluis',
        qidoRoot: '/dicom-web',
        wadoRoot: '/dicom-web',
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        thumbnailRequestStrategy: 'fetch',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        supportsReject: false,
        staticWado: false,
        singlepart: 'bulkdata,pdf',
        omitQuotationForMultipartRequest: true,
        dicomUploadEnabled: false,
        bulkDataURI: { enabled: true, relativeResolution: 'studies' },
      },
    },
  ],
  httpErrorHandler: function (error) {
    if (error && error.status === 401) {
      window.location.assign('/sign-in');
    }
  },
};
"#;
